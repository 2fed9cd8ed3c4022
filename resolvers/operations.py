"""What a caller may ask for, before it is checked. Every door fills these, and every door gets the same answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AskedLimits:
    """Limits that a caller asks for; None leaves the server's default. Milliseconds and bytes."""

    cpu_ms: int | None = None
    memory_bytes: int | None = None
    processes: int | None = None
    open_files: int | None = None
    workspace_bytes: int | None = None
    workspace_inodes: int | None = None
    output_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class AskedFile:
    """A file to put in before the run. `encoding` is "UTF8" or "BASE64"."""

    path: str
    content: str
    encoding: str = "UTF8"


@dataclass(frozen=True, slots=True)
class ExecuteCode:
    """Run a program: in a fresh sandbox, in the home with `sandbox_id="home"`, or in a context. `timeout_ms` is wall time."""

    code: str
    language: str
    provider: str | None = None
    sandbox_id: str | None = None
    stdin: str | None = None
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    files: tuple[AskedFile, ...] = ()
    timeout_ms: int | None = None
    limits: AskedLimits | None = None
    artifacts: tuple[str, ...] = ()
    interactive: bool = False
    template: str | None = None
    context_id: str | None = None


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Run a program of the sandbox by `argv`, or a `line` by its shell; the rest is as in `ExecuteCode`."""

    argv: tuple[str, ...] | None = None
    line: str | None = None
    provider: str | None = None
    sandbox_id: str | None = None
    stdin: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    files: tuple[AskedFile, ...] = ()
    timeout_ms: int | None = None
    limits: AskedLimits | None = None
    artifacts: tuple[str, ...] = ()
    interactive: bool = False
    template: str | None = None


@dataclass(frozen=True, slots=True)
class CreateTerminal:
    """Open a terminal in a kept sandbox, the home where none is named; `command` is a shell when it is None."""

    sandbox_id: str | None = None
    provider: str | None = None
    cols: int = 80
    rows: int = 24
    command: tuple[str, ...] | None = None
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CreateContext:
    """Open a context in a kept sandbox, the home where none is named. `limits` hold for as long as it lives."""

    language: str
    sandbox_id: str | None = None
    provider: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    limits: AskedLimits | None = None


@dataclass(frozen=True, slots=True)
class CreateSandbox:
    """Make a kept sandbox. `timeout_ms` is how long it lives without work; `name` makes it create-or-get."""

    provider: str | None = None
    template: str | None = None
    name: str | None = None
    timeout_ms: int | None = None
    limits: AskedLimits | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
