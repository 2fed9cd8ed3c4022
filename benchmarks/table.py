"""One row for each number, and the table that is printed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

_HEAD: Final = ("what", "measured", "ratio", "bound", "ok")


@dataclass(frozen=True, slots=True)
class Row:
    """A measured number and its bound. `ratio` is to something measured in turn with it, None where the bound is absolute.

    `ok` is None for a row that only informs.
    """

    what: str
    measured: str
    bound: str
    ok: bool | None
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured. `rounds` is how often two things take turns; `scale` is what the usual number of runs is multiplied by."""

    rounds: int
    scale: float

    def runs(self, usual: int) -> int:
        """How many runs to make where `usual` is the usual number; never fewer than two."""
        return max(2, round(usual * self.scale))


QUICK: Final = Effort(rounds=1, scale=0.05)
FULL: Final = Effort(rounds=5, scale=1.0)


def ms(seconds: float) -> str:
    """A time as people read it."""
    return f"{seconds * 1000:.2f} ms"


def mib(size_bytes: float) -> str:
    """A size as people read it."""
    return f"{size_bytes / (1 << 20):.1f} MiB"


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def in_turn(rounds: int, *sides: Callable[[], float]) -> list[list[float]]:
    """Measure the sides by turns, A B A B …, since a shared machine is never as fast twice. A list of values for each side."""
    values: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, found in zip(sides, values, strict=True):
            found.append(side())
    return values


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios that the rounds gave."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def show(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown, its columns in line."""
    words = {True: "yes", False: "NO", None: ""}
    cells = [_HEAD, *((row.what, row.measured, "" if row.ratio is None else f"{row.ratio:.3g}", row.bound, words[row.ok]) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = ["| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
