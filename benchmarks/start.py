"""How long after its start a server has answered its first run of a program."""

from __future__ import annotations

from statistics import median
from typing import Final

from benchmarks.server import running_server
from benchmarks.table import Effort, Row

_BOUND_S: Final = 2.0
_MOST: Final = 5


def rows(effort: Effort) -> list[Row]:
    """From the start of the process to the end of the first run."""
    times: list[float] = []
    for _ in range(min(effort.rounds, _MOST)):
        with running_server() as server:
            times.append(server.start_s)
    usual = median(times)
    return [
        Row("start, to the first answered run", f"{usual:.2f} s; slowest of {len(times)} {max(times):.2f} s", f"≤ {_BOUND_S:g} s", usual <= _BOUND_S)
    ]
