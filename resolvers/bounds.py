"""Whether an argument is acceptable. Each refusal names the argument, its bound and what was given."""

from __future__ import annotations

import base64
import binascii
import re
from types import MappingProxyType

from sandql.core.errors import BadRequest, PayloadTooLarge
from sandql.core.settings import Settings
from sandql.core.values import InputFile, Language, Limits, RunRequest
from sandql.providers.base import Provider
from sandql.resolvers.operations import AskedFile, AskedLimits, ExecuteCode

MAX_ARGS = 256
MAX_ARG_BYTES = 64 * 1024
MAX_ENV = 128
MAX_ENV_BYTES = 64 * 1024
MAX_FILES = 256
MAX_ARTIFACTS = 64
WORKSPACE = "/workspace"

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")


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


def find_language(provider: Provider, name: str) -> Language:
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


def _bounded(name: str, asked: int | None, default: int, low: int, high: int) -> int:
    if asked is None:
        return default
    if not low <= asked <= high:
        raise BadRequest(f"{name}: must be from {low} to {high}, got {asked}")
    return asked


def _limits(asked: AskedLimits | None, timeout_ms: int | None, settings: Settings) -> Limits:
    wall = _bounded("timeout", timeout_ms, min(settings.wall_ms, settings.max_wall_ms), 1, settings.max_wall_ms)
    asked = asked or AskedLimits()
    return Limits(
        wall_ms=wall,
        cpu_ms=_bounded("limits.cpuTime", asked.cpu_ms, wall, 1, settings.max_wall_ms),
        memory_bytes=_bounded("limits.memory", asked.memory_bytes, settings.memory_bytes, 16 * 1024 * 1024, settings.memory_bytes),
        processes=_bounded("limits.processes", asked.processes, settings.processes, 1, settings.processes),
        open_files=_bounded("limits.openFiles", asked.open_files, settings.open_files, 16, settings.open_files),
        workspace_bytes=_bounded("limits.workspaceBytes", asked.workspace_bytes, settings.workspace_bytes, 65_536, settings.workspace_bytes),
        workspace_inodes=_bounded("limits.workspaceInodes", asked.workspace_inodes, settings.workspace_inodes, 16, settings.workspace_inodes),
        output_bytes=_bounded("limits.outputBytes", asked.output_bytes, settings.output_bytes, 0, settings.output_bytes),
        output_hard_bytes=settings.output_hard_bytes,
    )


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


def _args(asked: tuple[str, ...]) -> tuple[str, ...]:
    if len(asked) > MAX_ARGS:
        raise BadRequest(f"args: at most {MAX_ARGS}, got {len(asked)}")
    total = 0
    for index, arg in enumerate(asked):
        total += len(encode(f"args[{index}]", arg, MAX_ARG_BYTES))
        if "\0" in arg:
            raise BadRequest(f"args[{index}]: holds a NUL byte")
    if total > MAX_ARG_BYTES:
        raise PayloadTooLarge(f"args: at most {MAX_ARG_BYTES} bytes in all, got {total}")
    return asked


def _env(asked: tuple[tuple[str, str], ...]) -> MappingProxyType[str, str]:
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


def check_run(asked: ExecuteCode, provider: Provider, settings: Settings) -> RunRequest:
    """The checked form of what was asked. Raises BadRequest, PayloadTooLarge."""
    language = find_language(provider, asked.language)
    code = encode("code", asked.code, settings.code_bytes)
    if len(asked.artifacts) > MAX_ARTIFACTS:
        raise BadRequest(f"artifacts: at most {MAX_ARTIFACTS}, got {len(asked.artifacts)}")
    return RunRequest(
        language=language.name,
        code=code,
        stdin=b"" if asked.stdin is None else encode("stdin", asked.stdin, settings.stdin_bytes),
        args=_args(asked.args),
        env=_env(asked.env),
        files=_files(asked.files, settings),
        limits=_limits(asked.limits, asked.timeout_ms, settings),
        artifacts=tuple(workspace_path(f"artifacts[{index}]", path, settings) for index, path in enumerate(asked.artifacts)),
    )
