"""Matching paths with `*`, `?` and `**`, name by name on the way down, so that folders that cannot match are never opened."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import Final

State = frozenset[tuple[int, int]]  # (pattern, part) pairs that the next name may match

_MAX_FOLDER_WILDS: Final = 8  # `**` parts; each multiplies the ways in which a path can match


def is_glob(pattern: str) -> bool:
    """Whether a pattern names more than one path."""
    return "*" in pattern or "?" in pattern


class Globs:
    """Patterns of paths: `*` and `?` within a name, `**` for any folders; a name that begins with a dot must be asked for as such.

    Raises:
        ValueError: a pattern has too many `**`.
    """

    def __init__(self, patterns: tuple[tuple[str, ...], ...]) -> None:
        self._patterns = [_compile(parts) for parts in patterns]

    def start(self) -> State:
        """The state in the folder that the patterns are relative to."""
        return frozenset(self._closed({(index, 0) for index in range(len(self._patterns))}))

    def enter(self, state: State, name: str) -> State:
        """The state in a folder of that name; empty when nothing below it can match."""
        following: set[tuple[int, int]] = set()
        for index, at in state:
            parts = self._patterns[index]
            if at == len(parts):
                continue
            part = parts[at]
            if part is None:
                if not name.startswith("."):
                    following.add((index, at))
            elif part.match(name):
                following.add((index, at + 1))
        return frozenset(self._closed(following))

    def matches(self, state: State, name: str) -> bool:
        """Whether a file of that name in this folder is meant."""
        return any(at == len(self._patterns[index]) for index, at in self.enter(state, name))

    def _closed(self, states: set[tuple[int, int]]) -> set[tuple[int, int]]:
        # `**` also stands for no folder at all; two never follow each other, so one round is enough.
        return states | {(index, at + 1) for index, at in states if at < len(self._patterns[index]) and self._patterns[index][at] is None}


def _compile(parts: tuple[str, ...]) -> list[re.Pattern[str] | None]:
    """A regular expression for each part, None for `**`; at the end it means all files below."""
    compiled: list[re.Pattern[str] | None] = []
    for part in (*parts, "*") if parts and parts[-1] == "**" else parts:
        if part == "**":
            if not compiled or compiled[-1] is not None:
                compiled.append(None)
        else:
            compiled.append(_compile_name(part))
    if compiled.count(None) > _MAX_FOLDER_WILDS:
        raise ValueError(f"at most {_MAX_FOLDER_WILDS} '**', got {compiled.count(None)}")
    return compiled


def _compile_name(part: str) -> re.Pattern[str]:
    # fnmatch's expressions do not backtrack from one `*` to the one before; brackets mean themselves here.
    expression = translate(part.replace("[", "[[]"))
    return re.compile(expression if part.startswith(".") else r"(?!\.)" + expression)
