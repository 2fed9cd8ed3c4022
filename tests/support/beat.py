"""A program that says when it was last alive, so that a test can tell when it ended."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

from tests.support.server import Server

# What is promised is 100 ms; it takes about 2 (the program beats every 5 ms).
_ENDED_WITHIN_S = 0.1
_TRIES = 5  # one of them must do: the machine may be busy with something else
_WAIT_S = 20
_SILENCE_S = 0.15

BEAT = """import os, time
said = False
while True:
    with open("beat.new", "w") as file:
        file.write(str(time.time_ns()))
    os.replace("beat.new", "beat")
    if not said:
        print("alive", flush=True)
        said = True
    time.sleep(0.005)
"""


def query(server: Server, document: str, **variables: object) -> Any:
    """The data of a query or a mutation, over HTTP."""
    body = json.dumps({"query": document, "variables": variables}).encode()
    with urlopen(Request(server.url + "/graphql", body, {"content-type": "application/json"}), timeout=_WAIT_S) as response:
        return json.load(response)["data"]


def read_home(server: Server, path: str) -> str | None:
    """The content of a file in the home, or None where there is none."""
    file = query(server, "query ($path: String!) { readFile(path: $path) { content } }", path=path)["readFile"]
    return None if file is None else file["content"]


def last_beat_s(server: Server) -> float:
    """The Unix time at which `BEAT`, run in the home, was last alive, once it no longer is: read until it stays the same."""
    deadline = time.monotonic() + _WAIT_S
    seen, same, reads = None, 0, 0
    since = time.monotonic()
    while same < 5 or time.monotonic() - since < _SILENCE_S:
        now = read_home(server, "beat")
        if now is None or now != seen:
            same, since = 0, time.monotonic()
        same += 1
        reads += 1
        seen = now
        assert time.monotonic() < deadline, f"the program is still alive: after {reads} reads its last beat is {now}, at {time.time_ns()}"
        time.sleep(0.01)
    return int(seen or 0) / 1e9


def ends_soon(server: Server, leave: Callable[[], float]) -> None:
    """Assert that `BEAT` ends soon when it is left: `leave` runs it in the home, leaves it, and answers the Unix time of that."""
    late: list[float] = []
    while len(late) < _TRIES:
        left_s = leave()
        late.append(last_beat_s(server) - left_s)
        if late[-1] < _ENDED_WITHIN_S:
            return
    raise AssertionError(f"the program was still alive {late} s after it was left")
