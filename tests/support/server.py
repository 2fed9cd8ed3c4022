"""A real server process, on a free port, waited for by its ready line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import sandql

_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/graphql")
_START_S = 20
_STOP_S = 20


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers. `log` grows while it runs."""

    port: int
    process: subprocess.Popen[str]
    log: list[str]

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Its GraphQL socket."""
        return f"ws://127.0.0.1:{self.port}/graphql"


@contextmanager
def running_server(*, command: tuple[str, ...] = ("-m", "sandql", "serve"), **settings: object) -> Generator[Server]:
    """Start `python -m sandql serve` with these settings (in lower case), and end it on every way out.

    Raises:
        AssertionError: it did not say where it listens; what it said instead is in the message.
    """
    with tempfile.TemporaryDirectory(prefix="sandql-test-") as state:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SANDQL_")}
        environment["PYTHONPATH"] = os.pathsep.join((str(Path(sandql.__file__).parents[1]), str(Path(__file__).parents[2])))
        environment |= {"SANDQL_PORT": "0", "SANDQL_STATE_DIR": state}
        environment |= {f"SANDQL_{name.upper()}": str(value) for name, value in settings.items()}
        process = subprocess.Popen(
            [sys.executable, "-W", "error", *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield _wait_until_ready(process)
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[str]) -> Server:
    log: list[str] = []
    found = threading.Event()
    ports: list[int] = []
    assert process.stdout is not None
    reader = threading.Thread(target=_read, args=(process.stdout, log, ports, found), daemon=True)
    reader.start()
    found.wait(_START_S)
    assert ports, f"the server did not say where it listens within {_START_S} s:\n{''.join(log)}"
    return Server(ports[0], process, log)


def _read(stdout: IO[str], log: list[str], ports: list[int], found: threading.Event) -> None:
    """Take the server's output for as long as it lives: a full pipe would stop it."""
    with stdout:
        for line in stdout:
            log.append(line)
            if not ports and (match := _ADDRESS.search(line)):
                ports.append(int(match[1]))
                found.set()
    found.set()


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"the server did not end within {_STOP_S} s of SIGTERM") from None
