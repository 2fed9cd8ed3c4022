"""What every provider of sandboxes offers to the house."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from sandql.core.contexts import ContextRequest
from sandql.core.files import FileChanges
from sandql.core.kept import DEFAULT_TEMPLATE, SandboxSpec, Template
from sandql.core.load import Load
from sandql.core.spent import Spent
from sandql.core.terminals import TerminalEnd, TerminalRequest, TerminalSize
from sandql.core.values import Event, Execution, FileEntry, Isolation, Language, Outcome, RunRequest, Signal
from sandql.usage.storage import Holding, Share


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a provider can run code now, and if not, why and what mends it."""

    available: bool
    detail: str


def no_one_asks() -> None:
    """Whoever has a program run does not ask when it begins."""


class Program(Protocol):
    """A program that runs; leaving the context in which it was started ends it."""

    @property
    def id(self) -> str:
        """The execution's id."""
        ...

    def events(self) -> AsyncGenerator[Event]:
        """Yield `Started`, `Output` as it comes, then `Completed`, numbered from 1; to be called once.

        The program is held back when nobody takes its events.
        """
        ...

    async def send_input(self, data: bytes) -> None:
        """Give bytes to the standard input of a program that was asked to be interactive; waits while the program doesn't read.

        Raises:
            Conflict: its input is closed, or it has ended.
        """
        ...

    def close_input(self) -> None:
        """Let the program read the end of its input, once it has read what was sent; idempotent."""
        ...

    def send_signal(self, signal: Signal) -> None:
        """Send a signal to the program and what it started; KILL ends it as cancelled. Nothing happens once it has ended."""
        ...

    def stop(self, why: Outcome) -> None:
        """End the program: as CANCELLED, or for its OUTPUT_LIMIT. Nothing happens once it has ended."""
        ...


class FileReader(Protocol):
    """A file that is open; `tag` is another one when the file has changed."""

    @property
    def size(self) -> int: ...

    @property
    def tag(self) -> str: ...

    @property
    def modified_at(self) -> float: ...

    async def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on; none at the end. Raises Conflict: it was written to since it was opened."""
        ...


class Upload(Protocol):
    """A file that comes in pieces; `offset` is how many bytes have come. Nobody sees it before `commit`."""

    @property
    def offset(self) -> int: ...

    async def write(self, data: bytes) -> None:
        """Add bytes. Raises ResourceError: the sandbox is full."""
        ...

    async def flush(self) -> None:
        """Have all that came kept, for an upload with a key that is to go on later."""
        ...

    async def commit(self, expected: Callable[[str | None], bool]) -> str:
        """Make it the file of its path, in one step, if what is there now is `expected` by its tag, None for nothing; returns the new tag.

        Raises:
            PreconditionFailed: it is not.
            BadRequest: the path names a folder, or leads through something that is none.
        """
        ...


class Files(Protocol):
    """The files of a kept sandbox. Paths are relative to the workspace; no symbolic link is followed.

    All raise NotFound where there is nothing of that path, BadRequest where it is not acceptable, Conflict where a running program is in the
    way, and what writes raises ResourceError where the sandbox is full. What is written is there, whole, once the call returns.
    """

    async def list(
        self, path: str, *, recursive: bool = False, glob: str | None = None, first: int | None = None, after: str | None = None
    ) -> list[FileEntry]:
        """List a directory, sorted by path: what matches the glob, at most `first` entries behind the path `after`."""
        ...

    async def stat(self, path: str) -> FileEntry:
        """What a path names; of a symbolic link, the link."""
        ...

    async def read(self, path: str, *, max_bytes: int) -> bytes:
        """A regular file, whole. Raises PayloadTooLarge."""
        ...

    async def read_part(self, path: str, *, offset: int, length: int | None, max_bytes: int) -> tuple[bytes, int]:
        """At most `length` bytes of a regular file from `offset` on, and its size. Raises PayloadTooLarge: they are more than `max_bytes`."""
        ...

    async def write(self, path: str, content: bytes, *, append: bool = False, mode: int | None = None) -> None:
        """Write a file whole, making its parents: a reader sees the old bytes or the new; or behind what it holds and what programs add."""
        ...

    async def make_directory(self, path: str) -> None:
        """Make a directory and its parents; nothing happens when it is there."""
        ...

    async def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Give something another path, making its parents. Raises Conflict: the target is there."""
        ...

    async def copy(self, source: str, target: str, *, overwrite: bool = False, recursive: bool = False) -> None:
        """Copy something, making its parents. Raises Conflict: the target is there."""
        ...

    async def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove something. Raises Conflict: it is a directory that is not empty."""
        ...

    def open(self, path: str) -> AbstractAsyncContextManager[FileReader]:
        """Open a regular file for reading."""
        ...

    def upload(self, path: str, *, key: str | None = None, offset: int = 0, size: int | None = None) -> AbstractAsyncContextManager[Upload]:
        """Begin to write a file in pieces, `size` bytes as far as is known. What is not committed is gone at the end of the context.

        With a `key` it is kept for some time instead, and goes on at `offset`. Raises Conflict: other than so many bytes are there.
        """
        ...

    async def uploaded(self, path: str, key: str) -> int:
        """How many bytes are kept of an upload with that key."""
        ...

    async def discard_upload(self, path: str, key: str) -> None:
        """Remove what is kept of an upload with that key. Raises NotFound; Conflict: another request is sending it."""
        ...

    def pack(self, path: str, *, max_bytes: int) -> AsyncGenerator[bytes]:
        """A directory as .tar.gz, in pieces. Raises PayloadTooLarge: its files have more than `max_bytes`."""
        ...

    async def unpack(self, path: str, data: AsyncIterator[bytes]) -> None:
        """Put what a .tar.gz holds into a directory, which is made; nothing shows before all has come and is found acceptable."""
        ...

    def changes(self, path: str, *, recursive: bool = False) -> AsyncGenerator[FileChanges]:
        """What becomes of a directory from now on, until it is gone. Raises ResourceError: more would have to be watched than may be."""
        ...


class Lasting(Protocol):
    """Something that stays open in a kept sandbox."""

    async def spent(self) -> Spent:
        """What it has used since it was opened, with all that it started, measured outside of it; to be asked after its end as well.

        What its end used is in it then, unless the provider lost it.
        """
        ...


class Terminal(Lasting, Protocol):
    """A program that runs in a terminal; leaving the context in which it was opened ends it."""

    def output(self) -> AsyncGenerator[bytes]:
        """Yield what it shows in pieces of at most 64 KiB, to its end; to be called once. The program is held back when nobody takes it."""
        ...

    async def write(self, data: bytes) -> None:
        """Type; waits while the program doesn't read. Raises Conflict: the program has ended."""
        ...

    def interrupt(self, data: bytes) -> bool:
        """Whether it is a key for a signal, as Ctrl-C, behind what is not read: then the program has that signal now, and what waited is dropped."""
        ...

    def resize(self, size: TerminalSize) -> None:
        """Give it another size."""
        ...

    def hang_up(self) -> None:
        """End its program as the end of a line would, and for good when it has not ended a second later."""
        ...

    async def ended(self) -> TerminalEnd:
        """How its program ended, once it has."""
        ...


class Context(Lasting, Protocol):
    """A session that keeps its variables; leaving the context manager in which it was opened ends it. One piece of code runs at a time."""

    @property
    def alive(self) -> bool:
        """Whether it can run code."""
        ...

    def execute(self, request: RunRequest) -> AsyncGenerator[Event]:
        """Run code and yield its events, as a program's. Closing the generator interrupts it.

        When its time is over it is interrupted, and the context is ended where that is of no use. Raises Conflict: the context has ended.
        """
        ...

    def interrupt(self) -> None:
        """Interrupt what runs; variables stay."""
        ...

    def stop(self) -> None:
        """Interrupt what runs, and end the context where that is of no use."""
        ...

    def end(self) -> None:
        """End it, and what runs in it as cancelled."""
        ...

    async def ended(self) -> None:
        """Return when it has ended by itself, or was ended."""
        ...


class Sandbox(Protocol):
    """A file system and a place to run, borrowed from a provider."""

    @property
    def id(self) -> str | None:
        """The id by which the caller can come back, or None for a sandbox that lives for one run."""
        ...

    @property
    def files(self) -> Files:
        """Its files. Raises BadRequest for a sandbox that lives for one run."""
        ...

    async def run(self, request: RunRequest, begun: Callable[[], None] = no_one_asks) -> Execution:
        """Run a program to its end; `begun` is called when it begins, which may be after it waited for its turn.

        Cancelling the call ends the run and frees what it held.

        Raises:
            ResourceError: there is no capacity left.
            ProviderUnavailable: the provider cannot run code now.
        """
        ...

    def start(self, request: RunRequest) -> AbstractAsyncContextManager[Program]:
        """Start a program and have a hold on it while it runs. Leaving the context ends it; raises as `run`."""
        ...

    def open_context(self, request: ContextRequest) -> AbstractAsyncContextManager[Context]:
        """Open a session in a kept sandbox. Raises Unsupported: not in this language; and as `run`."""
        ...

    def open_terminal(self, request: TerminalRequest) -> AbstractAsyncContextManager[Terminal]:
        """Run a program in a terminal, in a kept sandbox. Leaving the context ends it; raises as `run`."""
        ...


class Provider(Protocol):
    """A source of sandboxes. `start` and `aclose` are called once each; `aclose` is idempotent and leaves nothing behind."""

    @property
    def name(self) -> str: ...

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    def languages(self) -> Sequence[Language]:
        """The languages that this provider runs, known after `start`."""
        ...

    def templates(self) -> Sequence[Template]:
        """The templates that a sandbox can begin with, the default one first."""
        ...

    def isolation(self) -> Isolation:
        """What stands between a run and the host."""
        ...

    def health(self) -> Health:
        """Whether code can be run now; costs nothing."""
        ...

    def load(self) -> Load:
        """How busy it is now; costs nothing."""
        ...

    def fresh(self, template: str = DEFAULT_TEMPLATE) -> AbstractAsyncContextManager[Sandbox]:
        """A sandbox for one run, in which nothing of an earlier run is visible; gone afterwards. Raises BadRequest: there is no such template."""
        ...

    def home(self, owner: str, share: Share | None = None) -> AbstractAsyncContextManager[Sandbox]:
        """The owner's home, made on first use; its files stay on every way out. What is written there is bounded by its `share` as well."""
        ...

    def home_ref(self, owner: str) -> str:
        """The provider's own name for the owner's home, which need not be there."""
        ...

    async def create(self, sandbox_id: str, spec: SandboxSpec) -> str:
        """Make a kept sandbox, and return the provider's own name for it; a second call with the same id finds the same one.

        Raises:
            BadRequest: there is no such template.
            ResourceError: there is no capacity left.
            ProviderUnavailable: the provider cannot make one now.
        """
        ...

    def connect(self, sandbox_id: str, ref: str, spec: SandboxSpec, share: Share | None = None) -> AbstractAsyncContextManager[Sandbox]:
        """A kept sandbox, with all that runs and lies in it. Leaving the context leaves it as it is. Raises NotFound where it is gone."""
        ...

    def holding(self, ref: str) -> Holding:
        """What a kept sandbox or a home holds; nothing where it is not there."""
        ...

    async def destroy(self, ref: str) -> None:
        """End what runs in a kept sandbox and remove it; nothing happens when it is gone."""
        ...

    async def existing(self) -> Collection[str]:
        """The `ref` of each kept sandbox that there really is."""
        ...
