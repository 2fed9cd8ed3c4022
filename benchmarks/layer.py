"""What GraphQL and HTTP cost by themselves: a query that starts nothing."""

from __future__ import annotations

from statistics import median
from typing import Final

from benchmarks.http_client import load, question
from benchmarks.processes import cpu
from benchmarks.server import Server
from benchmarks.table import Effort, Row, ms

_AT_ONCE: Final = 8
_BOUND_S: Final = 0.45e-3


def rows(server: Server, effort: Effort) -> list[Row]:
    """CPU time of the server's process for a request, everything from its bytes to those of the answer."""
    asked = question("{ languages { name } }")
    runs = effort.runs(4000)
    each: list[float] = []
    for _ in range(effort.rounds):
        before = cpu(server.pid).own_s
        load(server.port, asked, _AT_ONCE, most=runs)
        each.append((cpu(server.pid).own_s - before) / runs)
    usual = median(each)
    return [Row("GraphQL layer alone: `{ languages { name } }`, CPU time", ms(usual), f"≤ {ms(_BOUND_S)}", usual <= _BOUND_S)]
