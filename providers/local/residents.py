"""Which cells run in which kept workspace, so that one that is destroyed is empty first."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Coroutine, Generator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final

from sandql.core.errors import NotFound, ResourceError
from sandql.providers.local.engine import Cell, Engine

_LEAVE_S: Final = 10.0
_GONE: Final = "sandboxId: this sandbox is gone"


class Residents:
    """The cells of all kept workspaces, by the workspaces' names."""

    def __init__(self) -> None:
        self._cells: defaultdict[str, dict[Cell, Engine]] = defaultdict(dict)
        self._closed: set[str] = set()
        self._changes: dict[str, int] = {}  # the number that a workspace's last program has among those of all
        self._numbers = count(1)
        self._unknown = 0  # what stands for those of workspaces that are not in there
        self._coming: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._left = asyncio.Condition()
        self._leaving: set[asyncio.Task[None]] = set()

    async def come(self, home: str, acquire: Coroutine[Any, Any, Cell]) -> Cell:
        """The cell that `acquire` makes for a workspace. Raises NotFound as soon as the workspace is being removed; and what `acquire` raises."""
        making = asyncio.ensure_future(acquire)
        turned_away: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._coming[home].add(turned_away)
        try:
            if home not in self._closed:
                await asyncio.wait((making, turned_away), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            _let_go(making)
            raise
        finally:
            self._coming[home].discard(turned_away)
            if not self._coming[home]:
                del self._coming[home]
        if not making.done():
            _let_go(making)
            raise NotFound(_GONE)
        return making.result()

    @contextmanager
    def living(self, home: str, cell: Cell, engine: Engine) -> Generator[None]:
        """Note that a cell of an engine runs in a workspace, for as long as its borrower has it. Raises NotFound: the workspace is being removed."""
        if home in self._closed:
            raise NotFound(_GONE)
        self._cells[home][cell] = engine
        self._changes[home] = next(self._numbers)
        try:
            yield
        finally:
            del self._cells[home][cell]
            if not self._cells[home]:
                del self._cells[home]
                task = asyncio.ensure_future(self._tell())
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)

    def stamp(self, home: str) -> int | None:
        """A number that is another one when a program has run in the workspace since; None while one runs."""
        return None if home in self._cells else self._changes.get(home, self._unknown)

    async def evict(self, home: str) -> None:
        """End what runs in a workspace and let nothing begin there any more. Raises ResourceError: it does not end."""
        self._closed.add(home)
        for turned_away in self._coming.get(home, ()):
            if not turned_away.done():
                turned_away.set_result(None)
        for cell, engine in self._cells.get(home, {}).items():
            engine.kill(cell, "DESTROYED")
        try:
            async with asyncio.timeout(_LEAVE_S), self._left:
                await self._left.wait_for(lambda: home not in self._cells)
        except TimeoutError:
            raise ResourceError("the sandbox's programs have not ended yet; try again later", retry_after_s=1.0) from None

    def forget(self, home: str) -> None:
        """Know nothing more of a workspace that is gone and that nobody has."""
        self._closed.discard(home)
        self._changes.pop(home, None)  # its name, an id, never comes again

    def forget_stamps(self, homes: Collection[str]) -> None:
        """Keep no stamps of workspaces that are gone: whoever remembers one finds another in its place."""
        for home in homes:
            self._changes.pop(home, None)
        if homes:
            self._unknown = next(self._numbers)

    async def _tell(self) -> None:
        async with self._left:
            self._left.notify_all()


def _let_go(making: asyncio.Future[Cell]) -> None:
    making.cancel()
    making.add_done_callback(lambda made: None if made.cancelled() or made.exception() is not None else made.result().close())
