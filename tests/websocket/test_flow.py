"""A client that does not read stops its own program, and nothing else; what is read arrives whole, in little memory."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.support.beat import query, read_home
from tests.support.server import Server
from tests.websocket.client import STREAM, WAIT_S, socket

MiB = 1024 * 1024

# Writes 64 KiB at a time for ever, and notes in a file how often it did.
FLOOD = """import os
line = "x" * 65535 + "\\n"
n = 0
while True:
    print(line, end="", flush=True)
    n += 1
    with open("count.new", "w") as file:
        file.write(str(n))
    os.replace("count.new", "count")
"""


def resident_bytes(server: Server) -> int:
    """Memory of the server's process."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def count(server: Server) -> int:
    """How often the program of `FLOOD` has written; 0 before its first note."""
    return int(read_home(server, "count") or 0)


def count_at_rest(server: Server) -> int:
    """The count, once it has stopped growing."""
    deadline = time.monotonic() + WAIT_S
    seen, same = -1, 0
    while same < 30:
        now = count(server)
        same = same + 1 if now == seen and now > 0 else 0
        seen = now
        assert time.monotonic() < deadline, "the program goes on"
        time.sleep(0.01)
    return seen


def test_a_reader_that_stops_stops_its_program_and_nothing_else(server: Server) -> None:
    with socket(server.ws_url) as slow, socket(server.ws_url) as other:
        before = resident_bytes(server)
        slow.subscribe("flood", STREAM, code=FLOOD, sandboxId="home", timeout=60_000)
        stopped = count_at_rest(server)
        assert stopped * 65_536 < 64 * MiB, "no more than what the buffers between program and client hold"
        assert resident_bytes(server) - before < 32 * MiB

        other.subscribe("s", STREAM, code="print('another client')")
        assert "another client" in json.dumps(other.results("s"))

        for _ in range(400):
            slow.receive()
        assert count_at_rest(server) > stopped, "the program goes on when its output is read again"
        slow.send({"id": "flood", "type": "complete"})


def test_a_stopped_reader_can_still_end_its_program(server: Server) -> None:
    with socket(server.ws_url) as client:
        client.subscribe("flood", STREAM, code=FLOOD, sandboxId="home", timeout=60_000)
        count_at_rest(server)
        client.send({"id": "flood", "type": "complete"})
        client.subscribe("q", "{ languages { name } }")
        assert client.results("q"), "after what was under way comes the answer, and no more of the flood"


def test_a_stopped_reader_that_goes_away_leaves_nothing(server: Server) -> None:
    with socket(server.ws_url) as client:
        client.subscribe("flood", STREAM, code=FLOOD, sandboxId="home", timeout=60_000)
        stopped = count_at_rest(server)
        client.raw.socket.shutdown(2)
    with socket(server.ws_url) as client:
        client.subscribe("again", STREAM, code="print(open('count').read())", sandboxId="home")
        text = "".join(result["data"]["executeCode"].get("text", "") for result in client.results("again"))
        assert int(text) <= stopped + 1
        assert count_at_rest(server) <= stopped + 1


def test_a_long_output_arrives_whole_in_little_memory(server: Server) -> None:
    size = 128 * MiB
    code = f"import sys\nline = 'é' * 2047 + 'x\\n'\nfor _ in range({size // 4096}): sys.stdout.write(line)"
    with socket(server.ws_url) as client:
        before = resident_bytes(server)
        client.subscribe("s", STREAM, code=code, timeout=60_000)
        got = lines = peak = seq = 0
        event: dict[str, Any] = {}
        while (message := client.receive())["type"] == "next":
            event = message["payload"]["data"]["executeCode"]
            text = event.get("text", "")
            got += len(text.encode())
            lines += text.count("x\n")
            if event["__typename"] != "ExecutionStarted":
                assert event["seq"] > seq
                seq = event["seq"]
            if seq % 64 == 0:
                peak = max(peak, resident_bytes(server))
    assert (got, lines) == (size, size // 4096)
    assert event["result"] == {"outcome": "COMPLETED", "truncated": True}
    assert peak - before < 32 * MiB


def test_the_first_line_comes_before_the_second_is_written(server: Server) -> None:
    code = "import os, time\nprint('first', flush=True)\nwhile not os.path.exists('go on'):\n    time.sleep(0.01)\nprint('second')"
    with socket(server.ws_url) as client:
        client.subscribe("s", STREAM, code=code, sandboxId="home")
        client.until_text("s", "first")
        query(server, 'mutation { writeFile(path: "go on", content: "") }')
        client.until_text("s", "second")
