"""Logs and rows of executions, brought together at a start, and removed when their time is over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from sandql.core.clock import ticks
from sandql.core.errors import SandqlError
from sandql.core.executions import KeptExecution
from sandql.core.settings import Settings
from sandql.core.values import Isolation, Outcome, Problem
from sandql.providers.base import Provider
from sandql.sandboxes import execution_json
from sandql.sandboxes.event_log import EventLog, size_of
from sandql.sandboxes.execution_end import last_event
from sandql.sandboxes.lost_execution import lost, remove_log
from sandql.store import execution_rows
from sandql.store.store import Store

_EVERY_S: Final = 600.0
_GONE_S: Final = 86_400.0  # after its time, which is shorter by far, an execution of another server is lost: that server is gone
_SWEEPS_A_BOUND: Final = 16  # how far logs may grow between two sweeps: by a sixteenth of their bound
_NONE: Final = Isolation("none", (), False, 0, "none", "none")
_CRASHED: Final = Problem("SANDBOX_LOST", "the server ended while the program ran")
_log = structlog.get_logger()


class ExecutionUpkeep:
    """Looks after the executions of this server that have ended. `settle` before any is started, then `run` until it is cancelled."""

    def __init__(self, database: Store, server: str, folder: Path, settings: Settings) -> None:
        self._database = database
        self._server = server
        self._folder = folder
        self._settings = settings
        self._grown_bytes = 0  # since the last sweep
        self._grown = asyncio.Event()
        self._elsewhere: dict[str, float] = {}  # other servers' executions that have no end, and when they were first seen here, by `ticks`

    async def settle(self, providers: Mapping[str, Provider]) -> None:
        """At a start: whatever a crash took is written down as lost, and logs that nobody knows are removed."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        rows = await self._database.read(lambda connection: execution_rows.running(connection, self._server))
        known = await self._database.read(lambda connection: execution_rows.known(connection, self._server))
        for row in rows:
            provider = providers.get(row.provider)
            outcome = await asyncio.to_thread(self._complete, row, _NONE if provider is None else provider.isolation())
            await self._database.write(partial(execution_rows.end, id_=row.id, outcome=outcome, now=time.time()))
        for name in os.listdir(self._folder):
            if name not in known:
                remove_log(self._folder / name)

    async def run(self) -> None:
        """Remove what has ended too long ago, now and then, and what is too much, soon after it has become so."""
        while True:
            self._grown.clear()
            self._grown_bytes = 0
            try:
                await self.sweep()
            except (SandqlError, OSError) as error:
                _log.warning("ended executions cannot be removed now", error=str(error))
            except Exception:
                _log.exception("ended executions could not be removed; it is tried again")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._grown.wait(), _EVERY_S)

    def note(self, log_bytes: int) -> None:
        """An execution has ended, whose log has that many bytes."""
        self._grown_bytes += log_bytes
        if self._grown_bytes * _SWEEPS_A_BOUND > self._settings.execution_logs_bytes:
            self._grown.set()

    async def sweep(self) -> None:
        """Remove the executions whose time is over, and the oldest while all together take too much of the disk."""
        now = time.time()
        ended = await self._database.read(lambda connection: execution_rows.ended_before(connection, self._server, now))
        before = now - self._settings.ended_retention_s
        await self._lose_those_of_the_gone(now)
        await self._database.write(lambda connection: execution_rows.forget_elsewhere(connection, self._server, before - _GONE_S))
        over = set(await self._database.read(lambda connection: execution_rows.ended_before(connection, self._server, before)))
        over |= await asyncio.to_thread(self._too_much, [id_ for id_ in ended if id_ not in over])
        if over:
            await self._database.write(lambda connection: execution_rows.forget(connection, list(over)))
            for id_ in over:
                await asyncio.to_thread(remove_log, self._folder / id_)

    async def _lose_those_of_the_gone(self, now: float) -> None:
        """Write down as lost the executions of other servers that were seen from here for so long that those are gone."""
        found = await self._database.read(lambda connection: execution_rows.running_elsewhere(connection, self._server))
        self._elsewhere = {id_: self._elsewhere.get(id_, ticks()) for id_ in found}
        for id_, seen_at in self._elsewhere.items():
            if ticks() - seen_at >= _GONE_S:
                await self._database.write(partial(execution_rows.end, id_=id_, outcome=Outcome.SANDBOX_LOST, now=now))

    def _complete(self, row: KeptExecution, isolation: Isolation) -> Outcome:
        folder = self._folder / row.id
        last = last_event(folder)
        if last is not None:  # it had ended, and only its row did not say so yet
            return last.execution.outcome
        log = EventLog(folder, row.id, again=folder.is_dir())
        log.complete(execution_json.dump(lost(row, folder, log.seq + 1, isolation, _CRASHED, self._settings.output_bytes)))
        log.close()
        return Outcome.SANDBOX_LOST

    def _too_much(self, oldest_first: list[str]) -> set[str]:
        """Those of the ended executions that must go for the rest to fit into the bound."""
        sizes = {id_: size_of(self._folder / id_) for id_ in oldest_first if (self._folder / id_).is_dir()}
        total = sum(sizes.values())
        over: set[str] = set()
        for id_, size in sizes.items():
            if total <= self._settings.execution_logs_bytes:
                break
            over.add(id_)
            total -= size
        return over
