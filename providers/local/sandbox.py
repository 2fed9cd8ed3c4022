"""The sandboxes of the local provider: those that live for a run, and those that are kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Final

from sandql.core.contexts import ContextRequest
from sandql.core.errors import BadRequest, ResourceError, SandqlError
from sandql.core.terminals import TerminalRequest
from sandql.core.values import (
    HOME,
    Execution,
    FileContent,
    Isolation,
    Limits,
    Outcome,
    Problem,
    RunRequest,
    Stream,
)
from sandql.providers.base import no_one_asks
from sandql.providers.local.context import LocalContext, open_channel
from sandql.providers.local.engine import Cell, Engine
from sandql.providers.local.files import LocalFiles
from sandql.providers.local.homes import Home
from sandql.providers.local.jobs import Job, Jobs
from sandql.providers.local.kept_output import KeptOutput
from sandql.providers.local.outcome import LOST, End, Verdict, judge
from sandql.providers.local.program import LocalProgram
from sandql.providers.local.pty import Pty
from sandql.providers.local.residents import Residents
from sandql.providers.local.run import CellRun
from sandql.providers.local.scarce import scarce
from sandql.providers.local.terminal import LocalTerminal
from sandql.providers.local.watching import Watching
from sandql.providers.local.workspace import Workspace
from sandql.usage.storage import Share

if TYPE_CHECKING:
    from sandql.core.settings import Settings

_MAX_ARTIFACTS: Final = 256
_QUOTA_CHECK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Kept:
    """What a kept sandbox has: its id, its workspace, who runs there, who watches its files, their limits, and its part in what its owner keeps."""

    id: str
    home: Home
    residents: Residents
    watching: Watching
    limits: Limits
    share: Share | None


class LocalSandbox:
    """A sandbox of this machine. Without a home it is for one run."""

    def __init__(self, engine: Engine, jobs: Jobs, settings: Settings, isolation: Isolation, kept: Kept | None = None) -> None:
        self._engine = engine
        self._jobs = jobs
        self._settings = settings
        self._isolation = isolation
        self._kept = kept
        self._home = None if kept is None else kept.home
        self.id = None if kept is None else kept.id

    @property
    def files(self) -> LocalFiles:
        """The files of a kept sandbox; see `sandql.providers.base.Sandbox`."""
        if self._kept is None:
            raise BadRequest(f'sandboxId: a fresh sandbox keeps no files; use "{HOME}"')
        kept = self._kept
        return LocalFiles(kept.home, kept.limits, kept.watching, kept.share)

    async def run(self, request: RunRequest, begun: Callable[[], None] = no_one_asks) -> Execution:
        """Run a program to its end; see `sandql.providers.base.Sandbox`."""
        kept = KeptOutput(request.limits.output_bytes)
        most = request.limits.output_hard_bytes
        async with self._engine.slots, self._cell(request) as (cell, job):

            def on_output(stream: Stream, data: bytes) -> None:
                kept.add(stream, data)
                if kept.total > most:
                    run.pause()
                    self._engine.kill(cell, "OUTPUT_LIMIT")

            run = CellRun(cell, job.data, on_output, self._engine.readers)
            begun()
            try:
                self._begin(cell, run, request, patient=True)
                end = await self._until_end(cell, run, request)
                if end is not None and end.cause != "OUTPUT_LIMIT":
                    run.drain()
                return await self._execution(cell, run, request, end, kept, job.id)
            finally:
                self._finish(cell, run)

    @contextlib.asynccontextmanager
    async def start(self, request: RunRequest) -> AsyncGenerator[LocalProgram]:
        """Start a program and have a hold on it; see `sandql.providers.base.Sandbox`."""
        async with self._engine.slots, self._cell(request) as (cell, job):
            program = LocalProgram(self._engine, cell, job, request)
            run = program.run
            try:
                program.watch(asyncio.ensure_future(self._until_end(cell, run, request)), partial(self._execution, cell, run, request))
                self._begin(cell, run, request, patient=False)
                yield program
            finally:
                program.stop_watching()
                self._finish(cell, run)

    @contextlib.asynccontextmanager
    async def open_context(self, request: ContextRequest) -> AsyncGenerator[LocalContext]:
        """Open a session; see `sandql.providers.base.Sandbox`."""
        async with self._engine.slots.lasting(), self._bare_cell("python", lasting=True) as cell, contextlib.AsyncExitStack() as stack:
            channel = open_channel(cell.workspace)
            try:
                job = self._jobs.context(request, channel.path)
            except BaseException:
                os.close(channel.fd)
                raise
            context = LocalContext(self._engine, cell, channel, job, request, self._isolation, self.id or HOME)
            stack.callback(context.close)
            run = RunRequest("", b"", limits=request.limits)
            watch = asyncio.ensure_future(self._until_end(cell, context.run, run))
            stack.callback(watch.cancel)
            self._begin(cell, context.run, run, patient=False)
            context.run.pause()
            yield context

    @contextlib.asynccontextmanager
    async def open_terminal(self, request: TerminalRequest) -> AsyncGenerator[LocalTerminal]:
        """Run a program in a terminal; see `sandql.providers.base.Sandbox`."""
        async with self._engine.slots.lasting(), self._bare_cell("python", lasting=True) as cell, contextlib.AsyncExitStack() as stack:
            pty = Pty(cell.workspace, request.size)
            stack.callback(pty.close)
            terminal = LocalTerminal(self._engine, cell, pty, self._jobs.terminal(request, pty.number), request)
            stack.callback(terminal.close)
            run = RunRequest("", b"", limits=request.limits)
            watch = asyncio.ensure_future(self._until_end(cell, terminal.run, run))
            stack.callback(watch.cancel)
            self._begin(cell, terminal.run, run, patient=False)
            yield terminal

    @contextlib.asynccontextmanager
    async def _cell(self, request: RunRequest) -> AsyncGenerator[tuple[Cell, Job]]:
        job = self._jobs.make(request, fresh=self._home is None)
        async with self._bare_cell(job.kind) as cell:
            try:
                yield cell, job
            finally:
                if job.litter is not None:
                    with contextlib.suppress(OSError):
                        os.unlink(job.litter, dir_fd=cell.workspace)

    @contextlib.asynccontextmanager
    async def _bare_cell(self, kind: str, *, lasting: bool = False) -> AsyncGenerator[Cell]:
        if self._kept is None:
            cell = await self._engine.acquire(kind)
        else:
            home = self._kept.home
            cell = await self._kept.residents.come(home.name, self._engine.acquire_home(home.name, home.owner_uid, lasting=lasting))
        try:
            living = contextlib.nullcontext() if self._kept is None else self._kept.residents.living(self._kept.home.name, cell, self._engine)
            with scarce("the sandbox"), living:
                yield cell
        finally:
            cell.close()
            if self._home is None:
                self._engine.restock_later(kind)

    def _begin(self, cell: Cell, run: CellRun, request: RunRequest, *, patient: bool) -> None:
        run.start_clock()
        limits, settings = request.limits, self._settings
        lowered = (limits.memory_bytes, limits.processes) != (settings.memory_bytes, settings.processes)
        if lowered:  # then its group is limited before its program starts; else the program need not wait for the supervisor
            self._engine.running(cell, limits)
        run.start(patient=patient)
        if not lowered:
            self._engine.running(cell, limits)

    async def _until_end(self, cell: Cell, run: CellRun, request: RunRequest) -> End | None:
        limits = request.limits
        mounted = (self._settings.workspace_bytes, self._settings.workspace_inodes)
        if self._home is None and (limits.workspace_bytes, limits.workspace_inodes) == mounted:
            return await run.ended  # the kernel keeps these
        pause_s = _QUOTA_CHECK_S
        free = None
        while True:
            done, _ = await asyncio.wait((run.ended,), timeout=pause_s)
            if done:
                return await self._end_within(cell, run.ended.result(), limits)
            volume = os.fstatvfs(cell.workspace)
            before, free = free, (volume.f_bfree, volume.f_ffree)
            if free == before:
                continue  # nothing was written anywhere on that disk
            began = perf_counter()
            try:
                used_bytes, used_inodes = await self._usage(cell)
            except ResourceError:  # it changes faster than it can be counted
                self._engine.kill(cell, "WORKSPACE_INODES")
                continue
            pause_s = max(_QUOTA_CHECK_S, 5 * (perf_counter() - began))
            if used_bytes > request.limits.workspace_bytes:
                self._engine.kill(cell, "WORKSPACE_BYTES")
            elif used_inodes > request.limits.workspace_inodes:
                self._engine.kill(cell, "WORKSPACE_INODES")
            elif await self._keeps_too_much(used_bytes):
                self._engine.kill(cell, "STORAGE")

    async def _keeps_too_much(self, used_bytes: int) -> bool:
        """Note what a kept sandbox holds now; whether its owner keeps more than it may."""
        if self._kept is None or self._kept.share is None:
            return False
        share, beside = self._kept.share, self._kept.home.place.beside
        try:
            return await asyncio.to_thread(lambda: share.grown(used_bytes + beside()[0]))
        except ResourceError:  # another sandbox cannot be counted now: that one's programs are seen to there
            return False

    async def _end_within(self, cell: Cell, end: End | None, limits: Limits) -> End | None:
        """How a run ended that may have outgrown its workspace since it was last looked at."""
        if end is None or end.cause is not None or self._home is not None:
            return end
        used_bytes, used_inodes = await self._usage(cell)
        if used_bytes > limits.workspace_bytes:
            return replace(end, cause="WORKSPACE_BYTES")
        return replace(end, cause="WORKSPACE_INODES") if used_inodes > limits.workspace_inodes else end

    async def _usage(self, cell: Cell) -> tuple[int, int]:
        """Bytes and inodes in the cell's workspace."""
        if self._home is not None:
            return await asyncio.to_thread(_usage_of, Workspace(cell.workspace))
        volume = os.fstatvfs(cell.workspace)
        return (volume.f_blocks - volume.f_bfree) * volume.f_frsize, volume.f_files - volume.f_ffree

    def _finish(self, cell: Cell, run: CellRun) -> None:
        if not run.ended.done() or run.ended.cancelled():  # whoever waits for it and is cancelled, cancels it too
            self._engine.kill(cell, "CANCELLED")
        run.close()

    async def _execution(self, cell: Cell, run: CellRun, request: RunRequest, end: End | None, kept: KeptOutput, execution_id: str) -> Execution:
        verdict: Verdict = LOST if end is None else judge(end, request.limits, kept.tail)
        artifacts: tuple[FileContent, ...] = ()
        if request.artifacts and verdict.outcome is not Outcome.SANDBOX_LOST:
            try:
                artifacts = tuple(
                    await asyncio.to_thread(Workspace(cell.workspace).collect, request.artifacts, _MAX_ARTIFACTS, self._settings.file_bytes)
                )
            except SandqlError as error:  # the run has ended, and its result is worth more than its files
                verdict = replace(verdict, problem=verdict.problem or Problem(error.code, f"artifacts: {error.message}"))
        compiled = run.compilation
        return Execution(
            id=execution_id,
            outcome=verdict.outcome,
            exit_code=verdict.exit_code,
            signal=verdict.signal,
            stdout=kept.bytes_of(Stream.STDOUT),
            stderr=kept.bytes_of(Stream.STDERR),
            truncated=kept.truncated,
            wall_ms=max(0, run.wall_ms - (compiled.wall_ms if compiled else 0)),
            cpu_ms=0 if end is None else end.cpu_ms,
            peak_memory_kib=0 if end is None else end.peak_memory_kib,
            provider="local",
            language=request.language,
            sandbox_id=self.id,
            isolation=self._isolation,
            artifacts=artifacts,
            problem=verdict.problem,
            compilation=compiled,
        )


def _usage_of(workspace: Workspace) -> tuple[int, int]:
    with contextlib.closing(workspace):
        return workspace.usage()
