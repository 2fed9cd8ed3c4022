"""A PostgreSQL server of its own for tests, from Debian's package, on a free port of this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_START_S = 30.0
_USER = "postgres"


def _program(name: str) -> str:
    """Where a program of PostgreSQL is. Fails when it is not installed."""
    found = shutil.which(name) or next((str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None)
    assert found is not None, f"{name} is not installed; on Debian: apt-get install postgresql"
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Postgres:
    """A server in a folder, which a test may stop, start again, and let hang."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._as_user = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--init-groups"] if os.geteuid() == 0 else []
        self._port = _free_port()
        self._server: subprocess.Popen[bytes] | None = None
        if self._as_user:
            shutil.chown(folder, _USER, _USER)
        create = [_program("initdb"), "--pgdata", f"{folder}/data", "--username", "sandql", "--auth", "trust", "--no-sync", "--encoding", "UTF8"]
        subprocess.run([*self._as_user, *create], check=True, capture_output=True, env=_environment(), cwd="/")

    @property
    def url(self) -> str:
        """Its one database; the same after each start."""
        return f"postgresql://sandql@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["-D", f"{self._folder}/data", "-p", str(self._port), "-k", self._folder, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        log = Path(self._folder) / "log"
        with log.open("wb") as file:
            self._server = subprocess.Popen([*self._as_user, _program("postgres"), *options], stdout=file, stderr=file, env=_environment(), cwd="/")
        _wait_until_ready(self._server, self._port, log)

    def stop(self) -> None:
        """End it and the connections to it."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)  # not SIGTERM, which waits for those who are connected
            self._server.wait(_START_S)
            self._server = None

    @contextmanager
    def hanging(self) -> Generator[None]:
        """Everybody who asks it waits for as long as the context is open."""
        assert self._server is not None
        pid = self._server.pid
        stopped = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        for each in stopped:
            os.kill(each, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in stopped:
                os.kill(each, signal.SIGCONT)


@contextmanager
def postgres_to_stop() -> Generator[Postgres]:
    """A started server with an empty database, ended on every way out."""
    with tempfile.TemporaryDirectory(prefix="sandql-postgres-", dir="/var/tmp") as folder:
        server = Postgres(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def running_postgres() -> Generator[str]:
    """Start a server with an empty database and end it on every way out; its URL."""
    with postgres_to_stop() as server:
        yield server.url


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    check = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    end = time.monotonic() + _START_S
    while subprocess.run(check, check=False).returncode:
        assert server.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < end, "PostgreSQL did not begin to answer"
        time.sleep(0.05)
