"""A provider for tests of the doors. It runs no code: it follows a script of its own and keeps files in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import repeat

from sandql.core.contexts import ContextRequest
from sandql.core.errors import Conflict, NotFound, PayloadTooLarge, SandqlError
from sandql.core.files import FileChanges
from sandql.core.kept import DEFAULT_TEMPLATE, SandboxSpec, Template
from sandql.core.load import Load
from sandql.core.settings import Settings
from sandql.core.terminals import TerminalRequest
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
    Signal,
    Started,
    Stream,
)
from sandql.providers.base import Context, FileReader, Health, Sandbox, Terminal, Upload, no_one_asks
from sandql.sandboxes.borrow import Sandboxes
from sandql.usage.storage import Holding, Share

ISOLATION = Isolation(level="none: a test", namespaces=(), seccomp=False, landlock=0, cgroup="none", network="none")
LANGUAGES = (Language("script", ("sc", "python"), "1.0"), Language("brick", (), "2.0", compiled=True))


@dataclass
class TwinProvider:
    """Follows scripts of one instruction a line, and counts what it does.

    `out TEXT` and `err TEXT` write a line; `hex BYTES` writes bytes to stdout; `flood N SIZE` writes N pieces of SIZE bytes;
    `sleep SECONDS` and `hang` wait; `exit N` ends; `lost` ends as the house would; `defect` fails as a bug of the house would;
    `refuse` is an error with a code. While there is a `failure`, whoever asks for a sandbox or for a run gets that instead.
    """

    settings: Settings
    name: str = "local"
    runs: int = 0
    running: int = 0
    cancelled: int = 0
    pieces: int = 0
    available: bool = True
    failure: SandqlError | None = None
    asked: int = 0
    requests: list[RunRequest] = field(default_factory=list[RunRequest])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    kept: set[str] = field(default_factory=set[str])

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

    def load(self) -> Load:
        return Load(self.running)

    def templates(self) -> tuple[Template, ...]:
        return (Template(DEFAULT_TEMPLATE, True, "a test"),)

    def ask(self) -> None:
        """Count what is asked of it, and fail as told."""
        self.asked += 1
        if self.failure is not None:
            raise self.failure

    async def create(self, sandbox_id: str, spec: SandboxSpec) -> str:
        self.ask()
        self.kept.add(sandbox_id)
        return sandbox_id

    @asynccontextmanager
    async def connect(self, sandbox_id: str, ref: str, spec: SandboxSpec, share: Share | None = None) -> AsyncGenerator[Sandbox]:
        if ref not in self.kept:
            raise NotFound("sandboxId: this sandbox is gone")
        yield TwinSandbox(self, sandbox_id)

    async def destroy(self, ref: str) -> None:
        self.kept.discard(ref)

    async def existing(self) -> set[str]:
        return set(self.kept)

    @asynccontextmanager
    async def fresh(self, template: str = DEFAULT_TEMPLATE) -> AsyncGenerator[Sandbox]:
        yield TwinSandbox(self, None)

    @asynccontextmanager
    async def home(self, owner: str, share: Share | None = None) -> AsyncGenerator[Sandbox]:
        yield TwinSandbox(self, HOME)

    def home_ref(self, owner: str) -> str:
        return owner

    def holding(self, ref: str) -> Holding:
        raise NotImplementedError


@dataclass(frozen=True)
class TwinSandbox:
    """Where a script runs."""

    twin: TwinProvider
    id: str | None

    async def run(self, request: RunRequest, begun: Callable[[], None] = no_one_asks) -> Execution:
        self.twin.ask()
        begun()
        async with aclosing(self.stream(request)) as events:
            async for event in events:
                if isinstance(event, Completed):
                    return event.execution
        raise AssertionError("a stream ends with Completed")

    @property
    def files(self) -> TwinFiles:
        return TwinFiles(self.twin)

    @asynccontextmanager
    async def start(self, request: RunRequest) -> AsyncGenerator[TwinProgram]:
        self.twin.ask()
        async with aclosing(self.stream(request)) as events:
            yield TwinProgram(events)

    def open_context(self, request: ContextRequest) -> AbstractAsyncContextManager[Context]:
        raise AssertionError("a twin has no contexts")

    def open_terminal(self, request: TerminalRequest) -> AbstractAsyncContextManager[Terminal]:
        raise AssertionError("a twin has no terminals")

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


@dataclass(frozen=True)
class TwinFiles:
    """Files in memory, one name space for all."""

    twin: TwinProvider

    async def list(
        self, path: str, *, recursive: bool = False, glob: str | None = None, first: int | None = None, after: str | None = None
    ) -> list[FileEntry]:
        return [_entry(name, content) for name, content in sorted(self.twin.files.items()) if name.startswith(path)]

    async def stat(self, path: str) -> FileEntry:
        return _entry(path, await self.read(path, max_bytes=0))

    async def read(self, path: str, *, max_bytes: int) -> bytes:
        if path not in self.twin.files:
            raise NotFound(f"path: no file at {path!r}")
        return self.twin.files[path]

    async def read_part(self, path: str, *, offset: int, length: int | None, max_bytes: int) -> tuple[bytes, int]:
        content = await self.read(path, max_bytes=max_bytes)
        return content[offset:][:length], len(content)

    async def write(self, path: str, content: bytes, *, append: bool = False, mode: int | None = None) -> None:
        self.twin.files[path] = content

    async def make_directory(self, path: str) -> None:
        raise AssertionError("a twin keeps no directories")

    async def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        self.twin.files[target] = self.twin.files.pop(source)

    async def copy(self, source: str, target: str, *, overwrite: bool = False, recursive: bool = False) -> None:
        self.twin.files[target] = self.twin.files[source]

    async def remove(self, path: str, *, recursive: bool = False) -> None:
        del self.twin.files[path]

    def open(self, path: str) -> AbstractAsyncContextManager[FileReader]:
        raise AssertionError("a twin has no streams")

    def upload(self, path: str, *, key: str | None = None, offset: int = 0, size: int | None = None) -> AbstractAsyncContextManager[Upload]:
        raise AssertionError("a twin has no streams")

    async def uploaded(self, path: str, key: str) -> int:
        return 0

    async def discard_upload(self, path: str, key: str) -> None:
        raise AssertionError("a twin has no streams")

    def pack(self, path: str, *, max_bytes: int) -> AsyncGenerator[bytes]:
        raise AssertionError("a twin has no streams")

    async def unpack(self, path: str, data: AsyncIterator[bytes]) -> None:
        raise AssertionError("a twin has no streams")

    def changes(self, path: str, *, recursive: bool = False) -> AsyncGenerator[FileChanges]:
        raise AssertionError("a twin has no changes")


def _entry(name: str, content: bytes) -> FileEntry:
    return FileEntry(name.rpartition("/")[2], name, FileType.FILE, len(content), 1_700_000_000.5)


@dataclass(frozen=True)
class TwinProgram:
    """A script that is followed as its events are taken; it takes no input and no signal."""

    following: AsyncGenerator[Event]
    id: str = "run-1"

    def events(self) -> AsyncGenerator[Event]:
        return self.following

    async def send_input(self, data: bytes) -> None:
        raise Conflict("input: a script reads none")

    def close_input(self) -> None:
        pass

    def send_signal(self, signal: Signal) -> None:
        pass

    def stop(self, why: Outcome) -> None:
        pass


@asynccontextmanager
async def open_twin(settings: Settings) -> AsyncGenerator[Sandboxes]:
    """What `create_app(settings, opener=…)` takes."""
    twin = TwinProvider(settings)
    yield Sandboxes(settings, {twin.name: twin})
