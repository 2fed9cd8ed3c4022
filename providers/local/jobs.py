"""What a cell is told: a run request turned into a job for the interpreter that waits in it."""

from __future__ import annotations

import json
import os
import secrets
from base64 import b64encode
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandql.core.contexts import ContextRequest
from sandql.core.errors import Unsupported
from sandql.core.limits import widest_limits
from sandql.core.settings import Settings
from sandql.core.terminals import TerminalRequest
from sandql.core.values import Limits, MiB, RunRequest
from sandql.providers.local.cell.wire import frame
from sandql.providers.local.languages import Toolchain
from sandql.providers.local.program_steps import program_steps
from sandql.providers.local.writes import new_program_name

# Variables that an interpreter or libc reads when it starts: a program that is given one gets an interpreter started with it.
_READ_AT_START: Final = ("PYTHON", "LC_", "LANG", "LD_", "GLIBC_", "MALLOC_", "NODE_", "OPENSSL_", "SSL_", "TZ", "HOME", "PATH", "UV_")
_AS_IT_IS: Final = -1
_COMPILED_ELSEWHERE: Final = ("go", "rust", "java", "c", "cpp")
_ID_BYTES: Final = 15
_PYTHON_DRIVER: Final = Path(__file__).with_name("cell").joinpath("context_driver.py").read_bytes()
JAVASCRIPT_DRIVER: Final = "/.sandql/context.cjs"
_CPU_BACKSTOP_S: Final = 2  # the supervisor's clock is the exact bound; the kernel's limit counts in ticks, on a busy machine too many


@dataclass(frozen=True, slots=True)
class Job:
    """A job's bytes, with standard input behind them; `kind` says which cells can do it.

    `litter` is the name of the program's own file where that lies in a home, to be removed after the run; else None.
    """

    id: str
    kind: str
    data: bytes
    litter: str | None


class Jobs:
    """Makes jobs for the languages of this host. `env` is what every program finds, `parked` the kinds of cells that wait."""

    def __init__(
        self, toolchains: Mapping[str, Toolchain], settings: Settings, env: Mapping[str, str], *, parked: Container[str], memory_grouped: bool
    ) -> None:
        self._toolchains = toolchains
        self._env = env
        self._parked = parked
        self._machine = os.uname().machine
        self._grouped = memory_grouped
        self._made_with = cell_limits(widest_limits(settings), memory_grouped=memory_grouped)

    def make(self, request: RunRequest, *, fresh: bool) -> Job:
        """The job for a checked request."""
        if request.command:
            return self._command(request)
        toolchain = self._toolchains[request.language]
        limits = request.limits
        commands = toolchain.commands(request.code, limits.memory_bytes)
        run = ("python3", commands.file_name) if request.language == "python" else commands.run
        compile_argv, file_name, litter = commands.compile, commands.file_name, None
        if not fresh:
            file_name, litter = _name_in_home(request.language, file_name)
            run = tuple(file_name if part == commands.file_name else part for part in run)
            compile_argv = compile_argv and tuple(file_name if part == commands.file_name else part for part in compile_argv)
        plain = not any(name.startswith(_READ_AT_START) for name in request.env)
        changes = self._changes(limits)
        as_made = max(changes[:-1]) == _AS_IT_IS and limits.cpu_ms >= limits.wall_ms
        if fresh and "node" in self._parked and plain and as_made and request.language == "javascript":
            return Job(request.id or _new_id(), "node", _node_frame(file_name, request) + request.stdin, None)
        if fresh and "program" in self._parked and as_made and compile_argv is None and not request.files and request.language != "python":
            env = {**self._env, **toolchain.env, **request.env}
            steps = program_steps(self._machine, file_name, request.code, [*run, *request.args], env)
            if steps is not None:
                return Job(request.id or _new_id(), "program", steps + request.stdin, None)
        message = (
            request.language == "python" and plain,
            file_name,
            request.code,
            [*run, *request.args],
            list(compile_argv) if compile_argv else None,
            {**toolchain.env, **request.env},
            [(file.path, file.content) for file in request.files],
            changes,
            None,
        )
        return Job(request.id or _new_id(), "python", frame(message) + request.stdin, litter)

    def _command(self, request: RunRequest) -> Job:
        files = [(file.path, file.content) for file in request.files]
        message = (False, None, b"", list(request.command), None, dict(request.env), files, self._changes(request.limits), None)
        return Job(request.id or _new_id(), "python", frame(message) + request.stdin, None)

    def context(self, request: ContextRequest, channel: str) -> bytes:
        """The job of a context whose answers go to that path. Raises Unsupported: there is none for that language."""
        changes = self._changes(request.limits)
        if request.language == "python":
            return frame((True, "/dev/null", _PYTHON_DRIVER, ["python3", "", channel], None, dict(request.env), [], changes, None))
        if request.language == "javascript":
            node = self._toolchains[request.language].commands(b"", request.limits.memory_bytes).run[:-1]
            return frame((False, None, b"", [*node, JAVASCRIPT_DRIVER, channel], None, dict(request.env), [], changes, None))
        raise Unsupported(f"language: contexts are for python and javascript, got {request.language!r}")

    def terminal(self, request: TerminalRequest, number: int) -> bytes:
        """The job of a program that runs in the cell's terminal of that number."""
        argv, env = request.argv, {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        if not argv and "bash" in self._toolchains:
            argv = (*self._toolchains["bash"].run[:1], "-i")
            env["PS1"] = r"\[\e[1;34m\]\w\[\e[0m\] \$ "
        elif not argv:
            argv = ("sh", "-i")
        env |= request.env
        return frame((False, None, b"", list(argv), None, env, [], self._changes(request.limits), number))

    def _changes(self, limits: Limits) -> tuple[int, ...]:
        """Which limits a cell must lower for this run: -1 for those that it has already."""
        limits_now = cell_limits(limits, memory_grouped=self._grouped)
        return tuple(_AS_IT_IS if now == made else now for now, made in zip(limits_now, self._made_with, strict=True))


def _new_id() -> str:
    """An execution's id: unguessable, safe in a URL."""
    return "ex_" + secrets.token_urlsafe(_ID_BYTES)


def cell_limits(limits: Limits, *, memory_grouped: bool) -> tuple[int, ...]:
    """The limits of a cell's processes as the cell takes them: processes, open files, bytes of a file, bytes of data, CPU seconds."""
    data = _AS_IT_IS if memory_grouped else 2 * limits.memory_bytes + 256 * MiB  # the watchdog is the exact bound
    return limits.processes, limits.open_files, limits.workspace_bytes, data, -(-limits.cpu_ms // 1000) + _CPU_BACKSTOP_S


def _name_in_home(language: str, file_name: str) -> tuple[str, str | None]:
    """Where a program's own file goes in a home, so that no file of the owner's is overwritten, and what is to be removed later.

    It lies in the workspace, since imports are looked for beside it; but what is compiled leaves nothing there.
    """
    if language in _COMPILED_ELSEWHERE:
        return f"/tmp/{file_name}", None
    name = new_program_name(os.path.splitext(file_name)[1])
    return name, name


def _node_frame(file_name: str, request: RunRequest) -> bytes:
    message = {
        "file": file_name,
        "code": b64encode(request.code).decode(),
        "args": request.args,
        "env": dict(request.env),
        "files": [(file.path, b64encode(file.content).decode()) for file in request.files],
    }
    data = json.dumps(message).encode()
    return len(data).to_bytes(4, "little") + data
