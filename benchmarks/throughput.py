"""How many runs a second at 16 at a time, with the load generator on the same cores; and whose CPU time they take."""

from __future__ import annotations

from statistics import median
from typing import Final

from benchmarks.bare import Bare
from benchmarks.http_client import load, run_code
from benchmarks.processes import Cpu, cpu, template_of, tree, zygote_of
from benchmarks.server import Server
from benchmarks.table import Effort, Row, in_turn, ms, ratio_of

_AT_ONCE: Final = 16
_BARE_BOUND: Final = 4.0
_BWRAP_BOUND: Final = 8.0
_SECONDS: Final = 2.0


def rows(server: Server, bare: Bare, effort: Effort) -> list[Row]:
    """Runs a second beside bare, and beside bwrap where there is one, and the CPU time of a run."""
    seconds = _SECONDS * max(effort.scale, 0.1)
    asked = run_code("print(1)", "python")
    before = _spent(server)
    runs = 0
    spent_bare: list[float] = []

    def ours() -> float:
        nonlocal runs
        done = load(server.port, asked, _AT_ONCE, seconds=seconds)
        runs += len(done.latencies_s)
        return done.per_s

    def theirs() -> float:
        spent_bare.extend(bare.python.cpu_once() for _ in range(effort.runs(10)))
        return bare.python.runs_per_s(_AT_ONCE, seconds)

    sides = [ours, theirs]
    bwrap = bare.python_in_bwrap
    if bwrap is not None:
        sides.append(lambda: bwrap.runs_per_s(_AT_ONCE, seconds))
    mine, *others = in_turn(effort.rounds, *sides)
    found: list[Row] = []
    for rates, name, bound in zip(others, ("bare", "bwrap"), (_BARE_BOUND, _BWRAP_BOUND), strict=False):
        ratio = ratio_of(mine, rates)
        measured = f"{median(mine):.0f}/s; {name} {median(rates):.0f}/s"
        found.append(Row(f"python `print(1)`, {_AT_ONCE} at a time, beside {name}", measured, f"≥ {bound:g} x {name}", ratio >= bound, ratio))
    if bwrap is None:
        found.append(Row(f"python `print(1)`, {_AT_ONCE} at a time, beside bwrap", "no bwrap that runs here", f"≥ {_BWRAP_BOUND:g} x bwrap", None))
    return [*found, _cpu_row(before, _spent(server), runs, spent_bare)]


def _spent(server: Server) -> dict[str, float]:
    """CPU seconds so far of each part of the server."""
    processes = tree(server.pid)
    zygote = zygote_of(processes)
    spent: Cpu = cpu(zygote.pid)
    (supervisor,) = [process.pid for process in processes if process.parent == server.pid]
    return {
        "server": cpu(server.pid).own_s,
        "supervisor": cpu(supervisor).own_s,
        "zygote": spent.own_s,
        "template": cpu(template_of(processes, zygote).pid).own_s,
        "cells": spent.reaped_s,
    }


def _cpu_row(before: dict[str, float], after: dict[str, float], runs: int, spent_bare: list[float]) -> Row:
    """A cell's CPU time counts from its fork: what it took to make it is in it."""
    each = {name: (after[name] - before[name]) / runs for name in after}
    total, bare = sum(each.values()), median(spent_bare)
    parts = ", ".join(f"{name} {ms(value)}" for name, value in each.items())
    return Row("CPU time of such a run", f"{ms(total)}: {parts}; bare {ms(bare)}", "", None, total / bare)
