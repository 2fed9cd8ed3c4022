"""Writing down how an execution ended, however often that has to be tried."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from sandql.core.errors import ResourceError
from sandql.core.executions import KeptExecution
from sandql.core.tasks import to_its_end
from sandql.core.values import Completed, Isolation, Outcome, Problem
from sandql.sandboxes import execution_json
from sandql.sandboxes.event_log import EventLog, completed
from sandql.sandboxes.lost_execution import lost
from sandql.sandboxes.running_execution import Running
from sandql.store import execution_rows
from sandql.store.store import Store

_RETRY_S: Final = 0.5  # until what could not be written is written again, then twice as long, …
_MOST_RETRY_S: Final = 30.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ending:
    """How an execution ended that came to no end of its own; of what it printed at most so many bytes are told."""

    row: KeptExecution
    isolation: Isolation
    why: Problem
    outcome: Outcome
    output_bytes: int

    def event(self, folder: Path | None, seq: int) -> Completed:
        """The last event, with what the log in the folder holds; without one for None."""
        return lost(self.row, folder, seq, self.isolation, self.why, self.output_bytes, self.outcome)


async def write_end(database: Store, running: Running, ending: Ending, last: Completed | None, may_try: Callable[[], bool]) -> int:
    """Write down the last event, that of `ending` for None; returns the bytes that log and event have.

    While it cannot be written, for the disk is full, no descriptor left or the database away, it is tried again for as long as it may be. Who
    watches hears of the end when it is written, or when it is known that this takes time. Where nothing was written, the next start
    of the server writes that the run was lost.
    """
    log = running.log
    assert log is not None
    retry_s, data = _RETRY_S, b""

    async def write() -> None:
        nonlocal last, data
        last = last or await asyncio.to_thread(ending.event, log.folder, log.seq + 1)
        data = await asyncio.to_thread(_complete, log, last)
        await database.write(partial(execution_rows.end, id_=ending.row.id, outcome=last.execution.outcome, now=time.time()))

    try:
        while True:
            try:
                await to_its_end(write())  # a server that ends does not leave it half done
                break
            except (OSError, ResourceError) as error:
                _log.warning("the end of an execution cannot be written now", execution=ending.row.id, error=str(error))
                running.last = last
                running.wake()
                if not may_try():
                    break
                with suppress(asyncio.CancelledError):  # the server is ending: one last time
                    await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, _MOST_RETRY_S)
    finally:
        log.close()
        running.last = last or ending.event(None, log.seq + 1)
    return log.size + len(data)


def last_event(folder: Path) -> Completed | None:
    """The last event in the log of that folder; None where there is none, or power failed while it was written. When it is there, all others are."""
    data = completed(folder)
    try:
        return None if data is None else execution_json.load(data)
    except ValueError:
        return None


def _complete(log: EventLog, last: Completed) -> bytes:
    data = execution_json.dump(last)
    log.complete(data)
    return data
