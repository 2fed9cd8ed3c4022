"""A provider for tests of the doors. It runs no code: it follows a script of its own and keeps files in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import repeat

from sandql.core.errors import NotFound, PayloadTooLarge
from sandql.core.settings import Settings
from sandql.core.values import (
    HOME,
    Completed,
    Event,
    Execution,
    FileContent,
    FileEntry,
    FileType,
    Isolation,
    Language,
    Outcome,
    Output,
    Problem,
    RunRequest,
    Started,
    Stream,
)
from sandql.providers.base import Health, Sandbox
from sandql.sandboxes.borrow import Sandboxes

ISOLATION = Isolation(level="none: a test", namespaces=(), seccomp=False, landlock=0, cgroup="none", network="none")
LANGUAGES = (Language("script", ("sc", "python"), "1.0"), Language("brick", (), "2.0", compiled=True))


@dataclass
class TwinProvider:
    """Follows scripts of one instruction a line, and counts what it does.

    `out TEXT` and `err TEXT` write a line; `hex BYTES` writes bytes to stdout; `flood N SIZE` writes N pieces of SIZE bytes;
    `sleep SECONDS` and `hang` wait; `exit N` ends; `lost` ends as the house would; `defect` fails as a bug of the house would;
    `refuse` is an error with a code.
    """

    settings: Settings
    name: str = "local"
    runs: int = 0
    running: int = 0
    cancelled: int = 0
    pieces: int = 0
    available: bool = True
    requests: list[RunRequest] = field(default_factory=list[RunRequest])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])

    async def start(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def languages(self) -> tuple[Language, ...]:
        return LANGUAGES

    def isolation(self) -> Isolation:
        return ISOLATION

    def health(self) -> Health:
        return Health(self.available, "" if self.available else "told so by a test")

    @asynccontextmanager
    async def fresh(self) -> AsyncGenerator[Sandbox]:
        yield TwinSandbox(self, None)

    @asynccontextmanager
    async def home(self, owner: str) -> AsyncGenerator[Sandbox]:
        yield TwinSandbox(self, HOME)


@dataclass(frozen=True)
class TwinSandbox:
    """Where a script runs."""

    twin: TwinProvider
    id: str | None

    async def run(self, request: RunRequest) -> Execution:
        async with aclosing(self.stream(request)) as events:
            async for event in events:
                if isinstance(event, Completed):
                    return event.execution
        raise AssertionError("a stream ends with Completed")

    async def stream(self, request: RunRequest) -> AsyncGenerator[Event]:
        twin = self.twin
        twin.runs += 1
        twin.running += 1
        twin.requests.append(request)
        try:
            async for event in self._follow(request):
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            twin.cancelled += 1
            raise
        finally:
            twin.running -= 1

    async def _follow(self, request: RunRequest) -> AsyncGenerator[Event]:
        written = {Stream.STDOUT: b"", Stream.STDERR: b""}
        outcome, exit_code, problem, seq = Outcome.COMPLETED, 0, None, 1
        yield Started(seq, "run-1")
        for line in request.code.decode().splitlines():
            word, _, rest = line.partition(" ")
            pieces: Iterable[tuple[Stream, bytes]] = ()
            if word == "out" or word == "err":
                pieces = [(Stream.STDOUT if word == "out" else Stream.STDERR, f"{rest}\n".encode())]
            elif word == "hex":
                pieces = [(Stream.STDOUT, bytes.fromhex(rest))]
            elif word == "flood":
                count, size = rest.split()
                pieces = repeat((Stream.STDOUT, b"x" * int(size)), int(count))
            elif word == "stdin":
                pieces = [(Stream.STDOUT, request.stdin)]
            elif word == "sleep":
                await asyncio.sleep(float(rest))
            elif word == "hang":
                await asyncio.Event().wait()
            elif word == "exit":
                outcome, exit_code = (Outcome.FAILED, int(rest)) if int(rest) else (Outcome.COMPLETED, 0)
            elif word == "lost":
                outcome, exit_code, problem = Outcome.SANDBOX_LOST, None, Problem("SANDBOX_LOST", "the sandbox was lost")
            elif word == "defect":
                raise RuntimeError("a secret of the house")
            elif word == "refuse":
                raise PayloadTooLarge("files: too much of it", retry_after_s=7)
            for stream, data in pieces:
                seq += 1
                self.twin.pieces += 1
                written[stream] += data[: request.limits.output_bytes - len(written[stream])]
                yield Output(seq, stream, data)
        yield Completed(seq + 1, self._execution(request, written, outcome, exit_code, problem))

    def _execution(
        self, request: RunRequest, written: dict[Stream, bytes], outcome: Outcome, exit_code: int | None, problem: Problem | None
    ) -> Execution:
        return Execution(
            id="run-1",
            outcome=outcome,
            exit_code=exit_code,
            signal=None,
            stdout=written[Stream.STDOUT],
            stderr=written[Stream.STDERR],
            truncated=False,
            wall_ms=5,
            cpu_ms=3,
            peak_memory_kib=1024,
            provider=self.twin.name,
            language=request.language,
            sandbox_id=self.id,
            isolation=ISOLATION,
            artifacts=tuple(FileContent(file.path, file.content) for file in request.files if file.path in request.artifacts),
            problem=problem,
        )

    async def list_files(self, path: str, *, recursive: bool = False) -> list[FileEntry]:
        return [
            FileEntry(name.rpartition("/")[2], name, FileType.FILE, len(content), 1_700_000_000.5)
            for name, content in sorted(self.twin.files.items())
            if name.startswith(path)
        ]

    async def read_file(self, path: str, *, max_bytes: int) -> bytes:
        if path not in self.twin.files:
            raise NotFound(f"path: no file at {path!r}")
        return self.twin.files[path]

    async def write_file(self, path: str, content: bytes) -> None:
        self.twin.files[path] = content


@asynccontextmanager
async def open_twin(settings: Settings) -> AsyncGenerator[Sandboxes]:
    """What `create_app(settings, opener=…)` takes."""
    twin = TwinProvider(settings)
    yield Sandboxes(settings, {twin.name: twin})
