"""The two sandboxes of the local provider: one that lives for a run, and an owner's home."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Final

from sandql.core.errors import BadRequest, ResourceError, SandqlError
from sandql.core.values import (
    HOME,
    Completed,
    Event,
    Execution,
    FileContent,
    FileEntry,
    Isolation,
    Limits,
    Outcome,
    Output,
    Problem,
    RunRequest,
    Started,
    Stream,
)
from sandql.providers.local.engine import Cell, Engine
from sandql.providers.local.homes import Home
from sandql.providers.local.jobs import Job, Jobs
from sandql.providers.local.outcome import LOST, End, Verdict, judge
from sandql.providers.local.run import CellRun
from sandql.providers.local.scarce import scarce
from sandql.providers.local.workspace import Workspace

if TYPE_CHECKING:
    from sandql.core.settings import Settings

_STREAM_BUFFER: Final = 1 << 20  # bytes of output that wait for a slow reader before the program has to
_MAX_FILES_LISTED: Final = 65_536
_MAX_ARTIFACTS: Final = 256
_TAIL: Final = 4096
_QUOTA_CHECK_S: Final = 0.1


class _Kept:
    """What is kept of a run's output for its result."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.parts: dict[Stream, list[bytes]] = {Stream.STDOUT: [], Stream.STDERR: []}
        self.sizes = {Stream.STDOUT: 0, Stream.STDERR: 0}
        self.tail = b""
        self.total = 0
        self.truncated = False

    def add(self, stream: Stream, data: bytes) -> None:
        self.total += len(data)
        room = self.most - self.sizes[stream]
        if stream is Stream.STDERR:
            self.tail = (self.tail + data)[-_TAIL:]
        if len(data) > room:
            self.truncated = True
            data = data[:room]
        if data:
            self.sizes[stream] += len(data)
            self.parts[stream].append(data)

    def bytes_of(self, stream: Stream) -> bytes:
        return b"".join(self.parts[stream])


class LocalSandbox:
    """A sandbox of this machine. Without a home it is for one run."""

    def __init__(self, engine: Engine, jobs: Jobs, settings: Settings, isolation: Isolation, home: Home | None) -> None:
        self._engine = engine
        self._jobs = jobs
        self._settings = settings
        self._isolation = isolation
        self._home = home

    @property
    def id(self) -> str | None:
        """ "home" for a kept sandbox, None for a fresh one."""
        return None if self._home is None else HOME

    async def run(self, request: RunRequest) -> Execution:
        """Run a program to its end; see `sandql.providers.base.Sandbox`."""
        kept = _Kept(request.limits.output_bytes)
        most = request.limits.output_hard_bytes
        async with self._engine.slots, self._cell(request) as (cell, job):

            def on_output(stream: Stream, data: bytes) -> None:
                kept.add(stream, data)
                if kept.total > most:
                    run.pause()
                    self._engine.kill(cell, "OUTPUT_LIMIT")

            run = CellRun(cell, job.data, on_output, self._engine.readers)
            try:
                self._begin(cell, run, request, patient=True)
                end = await self._until_end(cell, run, request)
                if end is not None and end.cause != "OUTPUT_LIMIT":
                    run.drain()
                return await self._execution(cell, run, request, end, kept, job.id)
            finally:
                self._finish(cell, run)

    async def stream(self, request: RunRequest) -> AsyncGenerator[Event]:
        """Run a program and yield its events; see `sandql.providers.base.Sandbox`."""
        kept = _Kept(request.limits.output_bytes)
        waiting: deque[tuple[Stream, bytes]] = deque()
        held = 0
        news = asyncio.Event()
        async with self._engine.slots, self._cell(request) as (cell, job):

            def on_output(stream: Stream, data: bytes) -> None:
                nonlocal held
                kept.add(stream, data)
                waiting.append((stream, data))
                held += len(data)
                if held >= _STREAM_BUFFER:
                    run.pause()
                news.set()

            run = CellRun(cell, job.data, on_output, self._engine.readers)
            ending: asyncio.Task[End | None] | None = None
            try:
                seq = 1
                yield Started(seq, job.id)
                self._begin(cell, run, request, patient=False)
                ending = asyncio.ensure_future(self._until_end(cell, run, request))
                ending.add_done_callback(lambda _: news.set())
                while True:
                    await news.wait()
                    news.clear()
                    over = ending.done()
                    if over and ending.result() is not None:
                        run.drain()
                    while waiting:
                        stream, data = waiting.popleft()
                        held -= len(data)
                        seq += 1
                        yield Output(seq, stream, data)
                        if held < _STREAM_BUFFER and not over:
                            run.resume()
                    if over:
                        break
                execution = await self._execution(cell, run, request, ending.result(), kept, job.id)
                yield Completed(seq + 1, execution)
            finally:
                if ending is not None and not ending.done():
                    ending.cancel()
                self._finish(cell, run)

    async def list_files(self, path: str, *, recursive: bool = False) -> list[FileEntry]:
        """List a directory of the home; see `sandql.providers.base.Sandbox`."""
        with self._workspace() as workspace:
            return await asyncio.to_thread(workspace.list_entries, path, recursive, _MAX_FILES_LISTED)

    async def read_file(self, path: str, *, max_bytes: int) -> bytes:
        """Read a file of the home; see `sandql.providers.base.Sandbox`."""
        with self._workspace() as workspace:
            return await asyncio.to_thread(workspace.read, path, max_bytes)

    async def write_file(self, path: str, content: bytes) -> None:
        """Write a file of the home; see `sandql.providers.base.Sandbox`."""
        with self._workspace() as workspace:
            await asyncio.to_thread(workspace.write, path, content, self._settings.workspace_bytes, self._settings.workspace_inodes)

    @contextlib.asynccontextmanager
    async def _cell(self, request: RunRequest) -> AsyncGenerator[tuple[Cell, Job]]:
        job = self._jobs.make(request, fresh=self._home is None)
        if self._home is None:
            cell = await self._engine.acquire(job.kind)
        else:
            cell = await self._engine.acquire_home(self._home.name, self._home.owner_uid)
        try:
            with scarce("the sandbox"):
                yield cell, job
        finally:
            if job.litter is not None:
                with contextlib.suppress(OSError):
                    os.unlink(job.litter, dir_fd=cell.workspace)
            cell.close()
            if self._home is None:
                self._engine.restock_later(job.kind)

    @contextlib.contextmanager
    def _workspace(self) -> Generator[Workspace]:
        if self._home is None:
            raise BadRequest(f'sandboxId: a fresh sandbox keeps no files; use "{HOME}"')
        with scarce("the home"):
            fd = os.open(self._home.files, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                yield Workspace(fd)
            finally:
                os.close(fd)

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
        while True:
            done, _ = await asyncio.wait((run.ended,), timeout=pause_s)
            if done:
                return await self._end_within(cell, run.ended.result(), limits)
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
            return await asyncio.to_thread(Workspace(cell.workspace).usage)
        volume = os.fstatvfs(cell.workspace)
        return (volume.f_blocks - volume.f_bfree) * volume.f_frsize, volume.f_files - volume.f_ffree

    def _finish(self, cell: Cell, run: CellRun) -> None:
        if not run.ended.done() or run.ended.cancelled():  # whoever waits for it and is cancelled, cancels it too
            self._engine.kill(cell, "CANCELLED")
        run.close()

    async def _execution(self, cell: Cell, run: CellRun, request: RunRequest, end: End | None, kept: _Kept, execution_id: str) -> Execution:
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
