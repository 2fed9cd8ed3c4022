"""What a host has to lose: secrets in every place where attacks look, and a look at it afterwards."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

PREFIX = "sandql-secret-"  # no program contains it in one piece


@dataclass(frozen=True, slots=True)
class Host:
    """The planted host. `folder` and what is in it must not change; `secrets` must not be seen."""

    folder: Path
    state_dir: Path
    secrets: tuple[bytes, ...]
    tcp_port: int
    abstract_name: bytes
    watched: dict[str, bytes]

    def fill_in(self, text: str) -> str:
        """What an attack is told where a word of its header asks for it: never a secret."""
        return (
            text.replace("{tcp_port}", str(self.tcp_port)).replace("{abstract_hex}", self.abstract_name.hex()).replace("{host_dir}", str(self.folder))
        )

    def changes(self) -> list[str]:
        """What is not as it was planted."""
        found = [name for name, content in self.watched.items() if not Path(name).is_file() or Path(name).read_bytes() != content]
        extra = {str(path) for path in self.folder.rglob("*")} - set(self.watched)
        return (
            found + sorted(extra) + [path for path in ("/tmp/planted.txt", "/planted.txt", "/tmp/daemon", "/dev/shm/daemon") if os.path.exists(path)]
        )


class _Answer(socketserver.BaseRequestHandler):
    """Says the secret to whoever connects."""

    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        with contextlib.suppress(OSError):
            self.request.sendall(self.server.secret)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    secret = b""


class _UnixServer(_Server):
    address_family = socket.AF_UNIX


def _secret(kind: str) -> str:
    return f"{PREFIX}{kind}-{secrets.token_hex(16)}"


@contextlib.contextmanager
def planted() -> Generator[Host]:
    """A host with secrets in its environment, files, sockets and processes; all of it is taken away at the end."""
    with contextlib.ExitStack() as stack:
        # Readable by everybody and short of any link: what hides them from a cell must be the cell's walls, not their modes.
        folder = Path(tempfile.mkdtemp(prefix="host-", dir="/tmp"))
        stack.callback(_remove, folder)
        folder.chmod(0o755)
        state_dir = Path(tempfile.mkdtemp(prefix="state-", dir="/var/tmp"))
        stack.callback(_remove, state_dir)
        state_dir.chmod(0o755)

        values = {kind: _secret(kind) for kind in ("env", "file", "state", "home", "shm", "tcp", "unix", "process")}
        watched: dict[str, bytes] = {}
        places = {
            "file": folder / f"{PREFIX}file.txt",
            "state": state_dir / f"{PREFIX}state.txt",
            "home": Path.home() / f".{PREFIX}home-{os.getpid()}",
            "shm": Path("/dev/shm") / f"{PREFIX}shm-{os.getpid()}",
        }
        for kind, path in places.items():
            path.write_text(values[kind])
            path.chmod(0o644)
            stack.callback(path.unlink, missing_ok=True)
            watched[str(path)] = values[kind].encode()

        os.environ["HOST_SECRET"] = values["env"]
        stack.callback(os.environ.pop, "HOST_SECRET", None)
        tcp = _serve(stack, _Server(("127.0.0.1", 0), _Answer), values["tcp"])
        abstract = f"{PREFIX}abstract-{os.getpid()}".encode()
        _serve(stack, _UnixServer(b"\0" + abstract, _Answer), values["unix"])  # pyright: ignore[reportArgumentType]  (typed for TCP)
        # marked in its arguments as well as in its environment
        process = subprocess.Popen([values["process"], "3600"], env={"HOST_SECRET": values["process"]}, executable=shutil.which("sleep"))
        stack.callback(process.wait)
        stack.callback(process.kill)
        yield Host(folder, state_dir, tuple(value.encode() for value in values.values()), tcp.server_address[1], abstract, watched)


def _serve(stack: contextlib.ExitStack, server: _Server, secret: str) -> _Server:
    stack.enter_context(server)
    server.secret = secret.encode()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    stack.callback(server.shutdown)
    return server


def _remove(folder: Path) -> None:
    # not shutil.rmtree: what attacks leave is deeper than its recursion, and may be closed to an ordinary user
    subprocess.run(["chmod", "-R", "u+rwX", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["rm", "-rf", "--", str(folder)], check=True)
