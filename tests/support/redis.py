"""A Redis server of its own for tests, from Debian's package, on a free port of this machine."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager

_START_S = 20.0


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextmanager
def running_redis(port: int | None = None) -> Generator[str]:
    """Start a server that keeps nothing, on this port or a free one, and end it on every way out; its URL."""
    program = shutil.which("redis-server")
    assert program is not None, "redis-server is not installed; on Debian: apt-get install redis-server"
    chosen = port or free_port()
    with tempfile.TemporaryDirectory(prefix="sandql-redis-") as folder:
        options = ["--port", str(chosen), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
        server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_until_ready(server, chosen)
            yield f"redis://127.0.0.1:{chosen}/0"
        finally:
            server.terminate()
            server.wait(_START_S)


def _wait_until_ready(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _START_S
    while True:
        assert server.poll() is None, "Redis ended as it started"
        assert time.monotonic() < end, "Redis did not begin to answer"
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(100).startswith(b"+PONG"):
                    return
        except OSError:
            time.sleep(0.02)
