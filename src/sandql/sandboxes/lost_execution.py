"""What is left of a run that the house lost: its log, and from that its last event."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from sandql.core.executions import KeptExecution
from sandql.core.values import Completed, Execution, Isolation, Outcome, Output, Problem, Stream
from sandql.sandboxes.event_log import LogReader


def lost(
    row: KeptExecution, folder: Path | None, seq: int, isolation: Isolation, problem: Problem, most: int, outcome: Outcome = Outcome.SANDBOX_LOST
) -> Completed:
    """The last event of a run that did not come to an end of its own, with what it had printed: reads the whole log, where a folder is given."""
    printed = {Stream.STDOUT: bytearray(), Stream.STDERR: bytearray()}
    reader = None if folder is None else LogReader(folder, 0)
    while reader is not None and (events := reader.read()):
        for event in events:
            if isinstance(event, Output) and len(printed[event.stream]) <= most:
                printed[event.stream] += event.data
    execution = Execution(
        id=row.id,
        outcome=outcome,
        exit_code=None,
        signal=None,
        stdout=bytes(printed[Stream.STDOUT][:most]),
        stderr=bytes(printed[Stream.STDERR][:most]),
        truncated=any(len(data) > most for data in printed.values()),
        wall_ms=round((time.time() - row.started_at) * 1000),
        cpu_ms=0,
        peak_memory_kib=0,
        provider=row.provider,
        language=row.language,
        sandbox_id=row.sandbox_id,
        isolation=isolation,
        problem=problem,
    )
    return Completed(seq, execution)


def remove_log(folder: Path) -> None:
    """Remove the log of a run."""
    shutil.rmtree(folder, ignore_errors=True)
