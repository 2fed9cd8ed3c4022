"""Whether an argument is acceptable. Each refusal names the argument, its bound and what was given."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Protocol

from sandql.access.grants import check_granted, check_language
from sandql.core.errors import BadRequest, Forbidden, PayloadTooLarge
from sandql.core.kept import KeptSandbox
from sandql.core.limits import widest_limits
from sandql.core.settings import Settings
from sandql.core.values import Caller, InputFile, KiB, Language, Limits, MiB, RunRequest
from sandql.resolvers.operations import AskedFile, AskedLimits, ExecuteCode, RunCommand

MAX_ARGS = 256
MAX_ARG_BYTES = 64 * 1024
MAX_ENV = 128
MAX_ENV_BYTES = 64 * 1024
MAX_FILES = 256
MAX_ARTIFACTS = 64
WORKSPACE = "/workspace"
COMMAND = "command"  # what stands for the language of a command

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")


class Speaks(Protocol):
    """What of a provider a run is checked against."""

    @property
    def name(self) -> str: ...

    def languages(self) -> Sequence[Language]: ...


def encode(name: str, text: str, most: int) -> bytes:
    """UTF-8 bytes of an argument of at most `most` bytes. Raises BadRequest, PayloadTooLarge."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise BadRequest(f"{name}: holds a lone surrogate, which UTF-8 cannot carry; send text or BASE64") from None
    if len(data) > most:
        raise PayloadTooLarge(f"{name}: at most {most} bytes, got {len(data)}")
    return data


def workspace_path(name: str, path: str, settings: Settings, *, root_ok: bool = False) -> str:
    """A path relative to the workspace, without `.` and `..`; `/workspace/a`, `./a` and `a` are the same. Raises BadRequest."""
    data = encode(name, path, settings.path_bytes)
    if b"\0" in data:
        raise BadRequest(f"{name}: holds a NUL byte")
    relative = path
    if path.startswith("/"):
        if path != WORKSPACE and not path.startswith(WORKSPACE + "/"):
            raise BadRequest(f"{name}: must be relative or below {WORKSPACE}, got {path[:100]!r}")
        relative = path[len(WORKSPACE) :]
    parts = [part for part in relative.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadRequest(f"{name}: '..' is not allowed, got {path[:100]!r}")
    if any(len(part.encode()) > 255 for part in parts):
        raise BadRequest(f"{name}: each part at most 255 bytes, got {path[:100]!r}")
    if not parts and not root_ok:
        raise BadRequest(f"{name}: must name a file in the workspace, got {path[:100]!r}")
    return "/".join(parts)


def find_language(provider: Speaks, name: str) -> Language:
    """The provider's language of that name or alias, in any case of letters. Raises BadRequest."""
    wanted = name.strip().lower()
    languages = provider.languages()
    for language in languages:
        if wanted == language.name or wanted in language.aliases:
            return language
    known = ", ".join(language.name for language in languages) or "none"
    raise BadRequest(f"language: {name[:64]!r} is not known to provider {provider.name!r}; use one of: {known}")


def decode_content(name: str, content: str, encoding: str, most: int) -> bytes:
    """The bytes of a content given as UTF8 or BASE64. Raises BadRequest, PayloadTooLarge."""
    if encoding == "UTF8":
        return encode(name, content, most)
    if len(content) > most // 3 * 4 + 4:
        raise PayloadTooLarge(f"{name}: at most {most} bytes, got about {len(content) // 4 * 3}")
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"{name}: is not BASE64") from None
    if len(data) > most:
        raise PayloadTooLarge(f"{name}: at most {most} bytes, got {len(data)}")
    return data


def find_granted_language(caller: Caller, provider: Speaks, name: str) -> str:
    """The canonical name of a language that the caller may use. Raises BadRequest, Forbidden."""
    language = find_language(provider, name).name
    check_language(caller, language)
    return language


def _bounded(caller: Caller, lessened: bool, name: str, asked: int | None, default: int, low: int, high: int, granted: int | None) -> int:
    """What was asked for, within the server's bounds, and within them what the caller's role grants; None for no less."""
    if asked is None:
        return default if granted is None else min(default, granted)
    if granted is not None and granted < high and not lessened:
        check_granted(caller, name, asked, granted)  # first: whoever heeds the server's bound would be refused again
    if not low <= asked <= high:
        raise BadRequest(f"{name}: must be from {low} to {high}, got {asked}")
    return asked if granted is None else min(asked, granted)


def check_in_context(asked: ExecuteCode) -> None:
    """Check that nothing was asked for that code in a context has of its context. Raises BadRequest."""
    given = {
        "sandboxId": asked.sandbox_id,
        "template": asked.template,
        "stdin": asked.stdin,
        "interactive": asked.interactive,
        "args": asked.args,
        "env": asked.env,
        "limits": asked.limits,
        "files": asked.files,
        "artifacts": asked.artifacts,
    }
    for name, value in given.items():
        if value:
            raise BadRequest(f"{name}: code in a context has that of its context; leave it out")


def check_limits(
    caller: Caller,
    asked: AskedLimits | None,
    timeout_ms: int | None,
    settings: Settings,
    most: Limits | None = None,
    *,
    of_sandbox: bool = False,
    lessened: bool = False,
) -> Limits:
    """The limits of a run, or of all runs of a sandbox: what was asked for, within the server's own and `most`, which is also the default.

    Where a role grants less than the default, that is lessened; with `lessened` also what was asked for.

    Raises:
        BadRequest: more was asked for, or too little.
        Forbidden: more was asked for than the caller's role grants.
    """
    asked = asked or AskedLimits()
    most = most or widest_limits(settings)
    granted = caller.permissions.limits
    check = partial(_bounded, caller, lessened)
    default_ms = settings.max_wall_ms if of_sandbox else min(settings.wall_ms, settings.max_wall_ms)
    wall = check("timeout", timeout_ms, default_ms, 1, settings.max_wall_ms, granted.wall_ms)
    cpu = None if granted.cpu_cores is None else _cpu_ms(granted.cpu_cores, wall)
    return Limits(
        wall_ms=wall,
        cpu_ms=check("limits.cpuTime", asked.cpu_ms, min(wall, most.cpu_ms), 1, most.cpu_ms, cpu),
        memory_bytes=check("limits.memory", asked.memory_bytes, most.memory_bytes, 16 * MiB, most.memory_bytes, granted.memory_bytes),
        processes=check("limits.processes", asked.processes, most.processes, 1, most.processes, granted.processes),
        open_files=check("limits.openFiles", asked.open_files, most.open_files, 16, most.open_files, granted.open_files),
        workspace_bytes=check(
            "limits.workspaceBytes", asked.workspace_bytes, most.workspace_bytes, 64 * KiB, most.workspace_bytes, granted.workspace_bytes
        ),
        workspace_inodes=check("limits.workspaceInodes", asked.workspace_inodes, most.workspace_inodes, 16, most.workspace_inodes, None),
        output_bytes=check("limits.outputBytes", asked.output_bytes, most.output_bytes, 0, most.output_bytes, granted.output_bytes),
        output_hard_bytes=settings.output_hard_bytes,
    )


def lasting_limits(caller: Caller, limits: Limits, most_ms: int) -> Limits:
    """The limits of something that may work for as long as it is open, at most `most_ms`."""
    cores = caller.permissions.limits.cpu_cores
    return replace(limits, wall_ms=most_ms, cpu_ms=most_ms if cores is None else min(most_ms, _cpu_ms(cores, most_ms)))


def limits_in_context(caller: Caller, limits: Limits, context: Limits) -> Limits:
    """The limits of an execution in a context: time and output of its own, of which `limits` has been checked, and for the rest the context's.

    Raises:
        Forbidden: the context has more than the caller's role grants now.
    """
    granted = caller.permissions.limits
    for name, has, most in (
        ("cpuTime", context.cpu_ms, None if granted.cpu_cores is None else _cpu_ms(granted.cpu_cores, context.wall_ms)),
        ("memory", context.memory_bytes, granted.memory_bytes),
        ("processes", context.processes, granted.processes),
        ("openFiles", context.open_files, granted.open_files),
        ("workspaceBytes", context.workspace_bytes, granted.workspace_bytes),
    ):
        if most is not None and has > most:
            raise Forbidden(
                f"contextId: was opened with limits.{name} of {has}, and the role {caller.role!r} grants at most {most} now; "
                "use restartContext, which begins it anew with that"
            )
    return replace(
        context, wall_ms=limits.wall_ms, cpu_ms=limits.cpu_ms, output_bytes=limits.output_bytes, output_hard_bytes=limits.output_hard_bytes
    )


def _cpu_ms(cores: float, wall_ms: int) -> int:
    """The CPU time that so many cores give in a time."""
    return max(1, int(cores * wall_ms))


def _files(asked: tuple[AskedFile, ...], settings: Settings) -> tuple[InputFile, ...]:
    if len(asked) > MAX_FILES:
        raise BadRequest(f"files: at most {MAX_FILES}, got {len(asked)}")
    files = tuple(
        InputFile(
            workspace_path(f"files[{index}].path", file.path, settings),
            decode_content(f"files[{index}].content", file.content, file.encoding, settings.file_bytes),
        )
        for index, file in enumerate(asked)
    )
    total = sum(len(file.content) for file in files)
    if total > settings.file_bytes:
        raise PayloadTooLarge(f"files: at most {settings.file_bytes} bytes in all, got {total}")
    return files


def _args(asked: tuple[str, ...], name: str) -> tuple[str, ...]:
    if len(asked) > MAX_ARGS:
        raise BadRequest(f"{name}: at most {MAX_ARGS}, got {len(asked)}")
    total = 0
    for index, arg in enumerate(asked):
        total += len(encode(f"{name}[{index}]", arg, MAX_ARG_BYTES))
        if "\0" in arg:
            raise BadRequest(f"{name}[{index}]: holds a NUL byte")
    if total > MAX_ARG_BYTES:
        raise PayloadTooLarge(f"{name}: at most {MAX_ARG_BYTES} bytes in all, got {total}")
    return asked


def check_env(asked: tuple[tuple[str, str], ...]) -> MappingProxyType[str, str]:
    """Variables of a program's environment. Raises BadRequest, PayloadTooLarge."""
    if len(asked) > MAX_ENV:
        raise BadRequest(f"env: at most {MAX_ENV} variables, got {len(asked)}")
    total = 0
    for name, value in asked:
        if not _ENV_NAME.match(name):
            raise BadRequest(f"env: a name must match {_ENV_NAME.pattern[:-2]}, got {name[:100]!r}")
        total += len(name) + len(encode(f"env.{name}", value, MAX_ENV_BYTES))
        if "\0" in value:
            raise BadRequest(f"env.{name}: holds a NUL byte")
    if total > MAX_ENV_BYTES:
        raise PayloadTooLarge(f"env: at most {MAX_ENV_BYTES} bytes in all, got {total}")
    return MappingProxyType(dict(asked))


def check_command(argv: tuple[str, ...] | None, line: str | None, provider: Speaks, settings: Settings) -> tuple[str, ...]:
    """What is to be executed: `argv` as it is, or a `line` by the provider's shell. Raises BadRequest, PayloadTooLarge."""
    if (argv is None) == (line is None):
        raise BadRequest("argv, line: give one of them, and not both")
    if line is not None:
        encode("line", line, settings.code_bytes)
        if "\0" in line:
            raise BadRequest("line: holds a NUL byte")
        shell = "bash" if any(language.name == "bash" for language in provider.languages()) else "sh"
        return (shell, "-c", line)
    assert argv is not None
    return check_argv(argv, "argv")


def check_argv(argv: tuple[str, ...], name: str) -> tuple[str, ...]:
    """A program and its arguments. Raises BadRequest, PayloadTooLarge."""
    if not argv or not argv[0]:
        raise BadRequest(f"{name}: must name a program first")
    return _args(argv, name)


def check_run(caller: Caller, asked: ExecuteCode | RunCommand, provider: Speaks, settings: Settings, kept: KeptSandbox | None = None) -> RunRequest:
    """The checked form of what was asked; `kept` is the sandbox in which it is to run. Raises BadRequest, Forbidden, PayloadTooLarge."""
    if len(asked.artifacts) > MAX_ARTIFACTS:
        raise BadRequest(f"artifacts: at most {MAX_ARTIFACTS}, got {len(asked.artifacts)}")
    if isinstance(asked, RunCommand):
        check_language(caller, COMMAND)
        language, code, args = COMMAND, b"", ()
        command = check_command(asked.argv, asked.line, provider, settings)
    else:
        language = find_granted_language(caller, provider, asked.language)
        code, args, command = encode("code", asked.code, settings.code_bytes), asked.args, ()
    env = check_env(asked.env)
    return RunRequest(
        language=language,
        code=code,
        stdin=b"" if asked.stdin is None else encode("stdin", asked.stdin, settings.stdin_bytes),
        args=_args(args, "args"),
        env=env if kept is None else MappingProxyType({**kept.spec.env, **env}),
        files=_files(asked.files, settings),
        limits=check_limits(caller, asked.limits, asked.timeout_ms, settings, None if kept is None else kept.spec.limits),
        artifacts=tuple(workspace_path(f"artifacts[{index}]", path, settings) for index, path in enumerate(asked.artifacts)),
        command=command,
        interactive=asked.interactive,
    )
