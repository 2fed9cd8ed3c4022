"""The server under measurement: a process of its own, on a free port, with a state folder that goes with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

import sandql
from benchmarks.failure import Failed
from benchmarks.http_client import Connection, run_code

_STOP_S: Final = 30
_READY: Final = re.compile(r"http://127\.0\.0\.1:(\d+)/")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that has answered. `start_s` is from its start to the end of the first run of a program."""

    port: int
    pid: int
    start_s: float


@contextmanager
def running_server(*, token: str | None = None, log: Path | None = None, **settings: object) -> Generator[Server]:
    """Start `sandql serve` with the settings of this environment, but for the address, the state folder and these; end it on every way out.

    A server that asks who is there is told so by the token. It logs into the file `log`, else to standard error.

    Raises:
        Failed: it did not say where it listens.
    """
    with tempfile.TemporaryDirectory(prefix="sandql-bench-") as state:
        environment = {**os.environ, "SANDQL_HOST": "127.0.0.1", "SANDQL_PORT": "0", "SANDQL_STATE_DIR": state, "SANDQL_LOG_LEVEL": "warning"}
        environment |= {f"SANDQL_{name.upper()}": str(value) for name, value in settings.items()}
        environment["PYTHONPATH"] = str(Path(sandql.__file__).parents[1])  # the code that is measured is the one that measures
        began = perf_counter()
        with (
            nullcontext() if log is None else log.open("wb") as target,
            subprocess.Popen([sys.executable, "-m", "sandql", "serve"], env=environment, stdout=subprocess.PIPE, stderr=target, text=True) as process,
        ):
            try:
                assert process.stdout is not None
                found = _READY.search(process.stdout.readline())
                if found is None:
                    raise Failed("the server ended before it said where it listens")
                port = int(found[1])
                connection = Connection(port)
                connection.ask(run_code("print(1)", "python", token=token))
                connection.close()
                yield Server(port, process.pid, perf_counter() - began)
            finally:
                process.terminate()
                try:
                    process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
