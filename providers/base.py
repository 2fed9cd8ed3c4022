"""What every provider of sandboxes offers to the house."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from sandql.core.values import Event, Execution, FileEntry, Isolation, Language, RunRequest


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a provider can run code now, and if not, why and what mends it."""

    available: bool
    detail: str


class Sandbox(Protocol):
    """A file system and a place to run, borrowed from a provider. Paths are relative to the workspace."""

    @property
    def id(self) -> str | None:
        """The id by which the caller can come back, or None for a sandbox that lives for one run."""
        ...

    async def run(self, request: RunRequest) -> Execution:
        """Run a program to its end.

        Cancelling the call ends the run and frees what it held.

        Raises:
            ResourceError: there is no capacity left.
            ProviderUnavailable: the provider cannot run code now.
        """
        ...

    def stream(self, request: RunRequest) -> AsyncGenerator[Event]:
        """Run a program and yield `Started`, its `Output` as it comes, then `Completed`, numbered from 1.

        The program is held back when nobody takes its events. Closing the generator ends the run.
        """
        ...

    async def list_files(self, path: str, *, recursive: bool = False) -> list[FileEntry]:
        """List a directory, sorted by path. Raises NotFound, BadRequest."""
        ...

    async def read_file(self, path: str, *, max_bytes: int) -> bytes:
        """Read a regular file. Raises NotFound, BadRequest, PayloadTooLarge."""
        ...

    async def write_file(self, path: str, content: bytes) -> None:
        """Write a file whole, making its parents; a reader sees the old bytes or the new. Raises BadRequest, ResourceError."""
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

    def isolation(self) -> Isolation:
        """What stands between a run and the host."""
        ...

    def health(self) -> Health:
        """Whether code can be run now; costs nothing."""
        ...

    def fresh(self) -> AbstractAsyncContextManager[Sandbox]:
        """A sandbox for one run, in which nothing of an earlier run is visible; gone afterwards."""
        ...

    def home(self, owner: str) -> AbstractAsyncContextManager[Sandbox]:
        """The owner's kept sandbox, made on first use; its files stay on every way out."""
        ...
