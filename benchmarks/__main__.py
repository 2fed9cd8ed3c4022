"""`python -m benchmarks [--quick]`: measure, and print one table. A benchmark judges nothing: only a request that failed makes it fail."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

from benchmarks import burst, fairness, files, governed, kept, latency, layer, memory, replay, start, streaming, throughput, usage
from benchmarks.bare import bare_commands
from benchmarks.failure import Failed
from benchmarks.server import running_server
from benchmarks.table import FULL, QUICK, Effort, Row, show


def measure(effort: Effort) -> Generator[Row]:
    """All rows, in the order of the table, as they are measured. Raises Failed, OSError."""
    with bare_commands() as bare:
        with running_server() as server:
            yield from latency.rows(server, bare, effort)
            yield from throughput.rows(server, bare, effort)
            yield from burst.rows(server, effort)
            yield from layer.rows(server, effort)
            yield from streaming.rows(server, effort)
            yield from files.rows(server, effort)
            yield from kept.rows(server, effort)
            yield from memory.rows(server, effort)
        yield from usage.rows(effort)
        yield from governed.rows(effort)
        yield from replay.rows(effort)
        yield from fairness.rows(effort)
        yield from kept.many_rows(effort)
        if effort is FULL:  # it downloads packages
            yield from kept.template_rows(bare, effort)
        yield from start.rows(effort)


def about(arguments: Sequence[str]) -> str:
    """The machine, and what was measured on it how."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        platform.machine(),
    )
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    ).stdout.strip()
    busy = os.getloadavg()[0]
    facts = {
        "machine": f"{len(os.sched_getaffinity(0))} cores of {model}, load average {busy:.1f} at the begin",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit or "none",
        "command": shlex.join(["python", "-m", "benchmarks", *arguments]),
    }
    return "\n".join(f"{name}: {fact}" for name, fact in facts.items())


def main(arguments: Sequence[str]) -> int:
    """Print the machine and the table. Returns 1 when something could not be measured."""
    parser = argparse.ArgumentParser(
        prog="sandql bench", description="Measure this machine: runs a second, latencies and memory, beside bare interpreters."
    )
    parser.add_argument("--quick", action="store_true", help="a twentieth of the runs, in a few seconds; the numbers say little")
    chosen = parser.parse_args(arguments)
    print(about(arguments), flush=True)
    found: list[Row] = []
    try:
        found.extend(measure(QUICK if chosen.quick else FULL))
    except (Failed, OSError) as error:
        print(f"sandql bench: {error}", file=sys.stderr)
        return 1
    finally:
        print(f"\n{show(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
