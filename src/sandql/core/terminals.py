"""What a terminal is asked for, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandql.core.values import Limits

MAX_SIDE = 1000


@dataclass(frozen=True, slots=True)
class TerminalSize:
    """Columns and rows of characters, from 1 to `MAX_SIDE` each."""

    cols: int
    rows: int


@dataclass(frozen=True, slots=True)
class TerminalRequest:
    """A terminal, checked. `argv` is empty for the sandbox's own shell."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    size: TerminalSize
    limits: Limits


@dataclass(frozen=True, slots=True)
class TerminalEnd:
    """How the program of a terminal ended: its exit code, or the name of the signal that ended it; `reason` where the house did."""

    exit_code: int | None
    signal: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class TerminalInfo:
    """A terminal as its owner sees it. `created_at` is a Unix time in seconds; `end` is None while its program runs."""

    id: str
    sandbox_id: str
    size: TerminalSize
    created_at: float
    end: TerminalEnd | None


@dataclass(frozen=True, slots=True)
class Screen:
    """A piece of what a terminal showed, whole characters of it, up to byte `offset`; `truncated` says that some before it is not kept."""

    offset: int
    data: bytes
    truncated: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """The last that a terminal has to tell."""

    offset: int
    end: TerminalEnd
