"""The benchmarks run, and fill their table. What the numbers are is not a test's business."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.table import Row, in_turn, percentile, ratio_of, show
from tests.house.tree import ROOT

WORDS = [
    "python `print(1)`, fresh sandbox, one at a time, p50",
    "javascript `console.log(1)`",
    "bash `echo 1`",
    "python, 8 at a time, p99",
    "beside bare",
    "beside bwrap",
    "CPU time of such a run",
    "100 fresh python runs sent at once",
    "GraphQL layer alone",
    "first streamed event",
    "of output through a subscription",
    "growth of the server's memory",
    "a reader that stops reading",
    "writeFile, 1 KiB",
    "readFile, 1 KiB",
    "upload of",
    "download of",
    "by those streams",
    "files listed, 1,000 a page",
    "counting a run, without a quota",
    "counting a run, with a quota",
    "events in the house",
    "events through a subscription",
    "terminal's echo",
    "kept sandboxes, PSS",
    "a fresh run beside",
    "idle server with its pools",
    "a parked python cell",
    "sleeping runs at once",
    "start, to the first answered run",
    "log lines, one at a time",
    "log lines, 16 at a time",
    "PostgreSQL and Redis, one at a time",
    "PostgreSQL and Redis, 16 at a time",
]


def test_a_quick_run_fills_every_row_of_the_table() -> None:
    done = subprocess.run([sys.executable, "-m", "sandql", "bench", "--quick"], cwd=ROOT / "src", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    about, _, table = done.stdout.partition("\n\n")
    assert [line.partition(": ")[0] for line in about.splitlines()] == ["machine", "kernel", "python", "commit", "command"]
    lines = table.splitlines()
    assert [word for word in WORDS if not any(word in line for line in lines)] == []
    assert all(line.count("|") == 6 for line in lines)


def test_an_unknown_option_ends_it_before_anything_is_measured() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "--fast"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "unrecognized arguments: --fast" in done.stderr


@pytest.mark.unit
def test_two_sides_take_turns() -> None:
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return len(order)

    assert in_turn(2, lambda: side("a"), lambda: side("b")) == [[1, 3], [2, 4]]
    assert order == ["a", "b", "a", "b"]


@pytest.mark.unit
def test_a_ratio_is_the_median_of_the_rounds() -> None:
    assert ratio_of([1.0, 30.0, 3.0], [2.0, 10.0, 3.0]) == 1.0


@pytest.mark.unit
@pytest.mark.parametrize(("percent", "value"), [(50, 2.0), (99, 4.0), (100, 4.0), (1, 1.0)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], percent) == value


@pytest.mark.unit
def test_a_row_without_a_ratio_or_a_verdict_leaves_them_empty() -> None:
    table = show([Row("speed", "2/s", "≥ 1/s", True, 2.0), Row("of note", "3", "", None)])
    assert table.splitlines()[2:] == ["| speed   | 2/s      | 2     | ≥ 1/s | yes |", "| of note | 3        |       |       |     |"]
