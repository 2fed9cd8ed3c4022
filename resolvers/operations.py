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
    """Run a program: in a fresh sandbox, or in the home with `sandbox_id="home"`. `timeout_ms` is wall time."""

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
