"""How long one request takes: python, javascript and bash beside the bare interpreter, and the slow end of python at 8 at a time."""

from __future__ import annotations

import time
from statistics import median
from typing import Final

from benchmarks.bare import Bare, Command
from benchmarks.http_client import Connection, Question, load, run_code
from benchmarks.server import Server
from benchmarks.table import Effort, Row, in_turn, ms, percentile, ratio_of

_PROGRAMS: Final = {"python": "print(1)", "javascript": "console.log(1)", "bash": "echo 1"}
_PYTHON_BOUND: Final = 0.25
_NODE_BOUND: Final = 0.35
_BASH_BOUND: Final = 2.0
_TAIL_BOUND: Final = 4.0
_TAIL_AT_ONCE: Final = 8
_NODE_STARTS_TO_WAIT: Final = 3  # two parked processes start beside each other, on cores that do other things too


def rows(server: Server, bare: Bare, effort: Effort) -> list[Row]:
    """A row for each language of which this machine has the interpreter, and one for the slow end."""
    found = [_language(server, "python", bare.python, "python -I -c", _PYTHON_BOUND, effort)]
    if bare.node is not None:
        found.append(_language(server, "javascript", bare.node, "node -e", _NODE_BOUND, effort, warm=True))
    if bare.bash is not None:
        found.append(_language(server, "bash", bare.bash, "bash -c", _BASH_BOUND, effort))
    return [*found, _tail(server, effort)]


def _language(server: Server, language: str, command: Command, shown: str, bound: float, effort: Effort, *, warm: bool = False) -> Row:
    asked = run_code(_PROGRAMS[language], language)
    connection = Connection(server.port)
    pause_s = _NODE_STARTS_TO_WAIT * median(command.once() for _ in range(effort.runs(5))) if warm else 0.0
    runs = effort.runs(15 if warm else 60)

    def ours() -> float:
        return median(_asked(connection, asked, pause_s) for _ in range(runs))

    def theirs() -> float:
        return median(command.once() for _ in range(max(2, runs // 4)))

    try:
        mine, others = in_turn(effort.rounds, ours, theirs)
    finally:
        connection.close()
    ratio = ratio_of(mine, others)
    what = f"{language} `{_PROGRAMS[language]}`, fresh sandbox, one at a time{', warm' if warm else ''}, p50"
    return Row(what, f"{ms(median(mine))}; `{shown}` {ms(median(others))}", f"≤ {bound:g} x bare", ratio <= bound, ratio)


def _asked(connection: Connection, asked: Question, pause_s: float) -> float:
    if pause_s:
        time.sleep(pause_s)  # until the pool is full again; nothing tells a client so
    return connection.ask(asked)


def _tail(server: Server, effort: Effort) -> Row:
    asked = run_code(_PROGRAMS["python"], "python")
    loads = [load(server.port, asked, _TAIL_AT_ONCE, most=effort.runs(1000)).latencies_s for _ in range(effort.rounds)]
    p50, p99 = (median(percentile(latencies, percent) for latencies in loads) for percent in (50, 99))
    ratio = median(percentile(latencies, 99) / percentile(latencies, 50) for latencies in loads)
    return Row(f"python, {_TAIL_AT_ONCE} at a time, p99", f"{ms(p99)}; p50 {ms(p50)}", f"≤ {_TAIL_BOUND:g} x p50", ratio <= _TAIL_BOUND, ratio)
