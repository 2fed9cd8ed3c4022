"""The server's side of the engine: the supervisor process, the pool of parked cells, and the queue in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog

from sandql.core.errors import ProviderUnavailable, ResourceError, SandqlError
from sandql.core.load import Load, PoolLoad
from sandql.core.spent import Spent
from sandql.core.values import Limits
from sandql.providers.local.cell.wire import MAX_PACKET, pack, unpack
from sandql.providers.local.cells import Cell, Pool, Wanted, receive_cell
from sandql.providers.local.outbox import Outbox
from sandql.providers.local.process import start_supervisor
from sandql.providers.local.readers import Readers
from sandql.providers.local.slots import Slots
from sandql.providers.local.spending import Spending
from sandql.providers.local.supervisor_log import SupervisorLog

_COLD_START_S: Final = 10.0
_RESTART_S: Final = 0.02
_MAX_RESTART_S: Final = 30.0
_MAX_LOST_RESTART_S: Final = 5.0
_MOST_DOUBLINGS: Final = 8  # of the time to the next attempt: more would only be cut
_QUIET_S: Final = 0.01  # a pool that is not half empty is filled when this long no program has run
_LOST_PATIENTLY: Final = 16  # cells that are lost in a row, until others are asked for more slowly
_NO_DESCRIPTORS_S: Final = 0.25  # until a cell is asked for again whose pipes could not be received
_FAILED_STARTS: Final = 3  # zygotes that end before they are ready, until the provider says that it cannot isolate
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What the engine is started with. `pools` maps a kind of cell to how many are kept parked."""

    supervisor: dict[str, Any]
    pools: dict[str, int]
    max_running: int
    max_queued: int


class Engine:
    """Cells on demand, made where an event loop runs. `start` and `aclose` are called once each."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._pools = {kind: Pool(size) for kind, size in config.pools.items()}
        self._kinds: dict[int, str] = {}  # cells that were asked for and have not come
        self._homes: dict[int, Wanted] = {}
        self._spending: dict[int, Spending] = {}
        self._next_id = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._cells: socket.socket | None = None
        self._log = SupervisorLog()
        self._outbox: Outbox | None = None
        self.slots = Slots(config.max_running, config.max_queued)
        self._filling: asyncio.TimerHandle | None = None
        self._failed_starts = 0
        self._lost_in_a_row = 0
        self._closing = False
        self._kept_starts = 0
        self.readers = Readers()
        self._up = asyncio.Event()
        self.landlock = 0
        self.cgroup = "none"
        self.unavailable: str | None = None

    def refuse(self, reason: str) -> None:
        """Run nothing, for this reason; instead of `start`."""
        self.unavailable = reason

    async def start(self) -> None:
        """Start the supervisor and begin to fill the pools; returns when the first cell is parked, or it is known that none will be."""
        self._spawn()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._up.wait(), _COLD_START_S)
        if not self._up.is_set():
            self.unavailable = f"no sandbox could be made within {_COLD_START_S:.0f} s; `sandql doctor` says more. {self._log.last_words}"

    async def aclose(self) -> None:
        """End every cell and the supervisor, and wait until it has cleaned up."""
        self._closing = True
        if self._filling is not None:
            self._filling.cancel()
        self._disconnect(ProviderUnavailable("provider 'local' is closing"))
        process = self._process
        if process is not None:
            loop = asyncio.get_running_loop()
            try:
                await asyncio.wait_for(loop.run_in_executor(None, process.wait), 5)
            except TimeoutError:
                process.kill()
                process.wait()
        self._log.close()
        self.readers.close()

    async def acquire(self, kind: str) -> Cell:
        """Take a parked cell, or wait for a new one. The caller closes it and calls `restock_later`.

        Raises:
            ProviderUnavailable: this host cannot isolate, or no cell could be made in time.
        """
        self._check()
        pool = self._pools[kind]
        while pool.parked:
            cell = pool.parked.popleft()
            if cell.alive():
                pool.hits += 1
                if 2 * len(pool.parked) < pool.size:
                    asyncio.get_running_loop().call_soon(self.restock, kind)  # when this one has got its job
                return cell
            cell.close()
        waiter: asyncio.Future[Cell] = asyncio.get_running_loop().create_future()
        pool.waiters.append(waiter)
        pool.cold_starts += 1
        self.restock(kind)
        return await self._wait(waiter, ProviderUnavailable)

    async def acquire_home(self, name: str, owner: int | None, *, lasting: bool = False) -> Cell:
        """Make a cell whose workspace is the kept one of that name, `lasting` where it is to be followed by `follow`.

        Raises:
            ProviderUnavailable: this host cannot isolate.
            ResourceError: no cell could be made in time, which says nothing of other workspaces.
        """
        self._check()
        wanted = Wanted(asyncio.get_running_loop().create_future(), name, owner, lasting)
        self._ask_home(wanted)
        self._kept_starts += 1
        return await self._wait(wanted.waiter, ResourceError)

    def follow(self, cell: Cell) -> Spending:
        """What a lasting cell, whose program is about to start, uses from now on."""
        spending = self._spending[cell.id] = Spending(lambda: self._send(("spent?", cell.id)), grouped=self.cgroup != "none")
        return spending

    def load(self) -> Load:
        """How busy it is; kept workspaces have no pool, so each of their runs is a cold start."""
        pools = {kind: PoolLoad(pool.size, len(pool.parked), pool.hits, pool.cold_starts) for kind, pool in self._pools.items()}
        pools["kept"] = PoolLoad(0, 0, 0, self._kept_starts)
        return Load(self.slots.taken, self.slots.queued, self.slots.waits, pools)

    def restock(self, kind: str) -> None:
        """Ask for as many cells as the pool lacks."""
        if self._control is None:
            return  # the next supervisor is asked for them all when it starts
        pool = self._pools[kind]
        while len(pool.parked) + pool.parking < pool.size + len(pool.waiters):
            pool.parking += 1
            self._ask(kind)

    def restock_later(self, kind: str) -> None:
        """Fill the pool when nothing runs, since making a cell beside a run delays its answer; at once when it is half empty."""
        pool = self._pools[kind]
        if 2 * len(pool.parked) <= pool.size:
            self.restock(kind)
        elif self._filling is None:
            self._filling = asyncio.get_running_loop().call_later(_QUIET_S, self._restock_when_quiet)

    def _restock_when_quiet(self) -> None:
        self._filling = None
        for kind in self._pools:
            if self.slots.taken:
                self.restock_later(kind)
            else:
                self.restock(kind)

    def running(self, cell: Cell, limits: Limits) -> None:
        """Start the cell's clock, and lower its limits where they are not the default ones."""
        self._send(("run", cell.id, limits.wall_ms, limits.memory_bytes, limits.processes, limits.cpu_ms))

    def kill(self, cell: Cell, cause: str) -> None:
        """End a cell's run; `cause` becomes part of how it ended."""
        self._send(("kill", cell.id, cause))

    def signal(self, cell: Cell, number: int) -> None:
        """Send a signal to a cell's program and its process group."""
        self._send(("signal", cell.id, number))

    def _check(self) -> None:
        if self.unavailable is not None:
            raise ProviderUnavailable(f"provider 'local' cannot isolate on this host, so it runs nothing: {self.unavailable}")
        if self._closing:
            raise ProviderUnavailable("provider 'local' is closing")

    async def _wait(self, waiter: asyncio.Future[Cell], late: type[SandqlError]) -> Cell:
        try:
            async with asyncio.timeout(_COLD_START_S):  # not wait_for: before Python 3.12 that may swallow a cancellation
                return await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().close()  # it came in the same moment
            if isinstance(error, asyncio.CancelledError):
                raise
            raise late(f"no sandbox could be made within {_COLD_START_S:.0f} s; try again later", retry_after_s=2.0) from None

    def _ask(self, kind: str) -> None:
        self._next_id += 1
        self._kinds[self._next_id] = kind
        self._send(("park", self._next_id, kind, None, None, False))

    def _ask_home(self, wanted: Wanted) -> None:
        """Ask for a cell in a kept workspace, if somebody still waits for it."""
        if not wanted.waiter.done():
            self._next_id += 1
            self._homes[self._next_id] = wanted
            self._send(("park", self._next_id, "python", wanted.home, wanted.owner, wanted.lasting))

    def _ask_homes_again(self) -> None:
        homes, self._homes = self._homes, {}
        for wanted in homes.values():
            self._ask_home(wanted)

    def _spawn(self) -> None:
        """Start a supervisor, and ask it for what is wanted. Raises OSError: there is no descriptor or process left for it."""
        started = start_supervisor()
        self._process = started.process
        self._control, self._cells = control, cells = started.control, started.cells
        self._outbox = Outbox(control)
        self._log.follow(started.log_r)
        self._send(self._config.supervisor)
        loop = asyncio.get_running_loop()
        loop.add_reader(control.fileno(), self._from_supervisor)
        loop.add_reader(cells.fileno(), self._from_cells)
        self._ask_homes_again()
        for kind in self._pools:
            self.restock(kind)

    def _disconnect(self, error: Exception | None) -> None:
        """Forget all cells and the supervisor; with an error, those who wait get it."""
        if self._outbox is not None:
            self._outbox.close()
        for ours in (self._control, self._cells):
            if ours is not None:
                asyncio.get_running_loop().remove_reader(ours.fileno())
                ours.close()
        self._control = self._cells = self._outbox = None
        self._kinds.clear()
        for cell_id in list(self._spending):
            self._spending.pop(cell_id).lost()
        self._drop_parked()
        if error is not None:
            self._refuse(error)

    def _drop_parked(self) -> None:
        for pool in self._pools.values():
            pool.parking = 0
            while pool.parked:
                pool.parked.popleft().close()

    def _refuse(self, error: Exception) -> None:
        waiters = [waiter for pool in self._pools.values() for waiter in pool.waiters] + [wanted.waiter for wanted in self._homes.values()]
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)
        for pool in self._pools.values():
            pool.waiters.clear()
        self._homes.clear()

    def _send(self, message: tuple[Any, ...] | dict[str, Any]) -> None:
        if self._outbox is not None:
            self._outbox.send(pack(message))

    def _from_supervisor(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(MAX_PACKET)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._supervisor_ended()
            return
        message = cast("tuple[Any, ...]", unpack(data))
        if message[0] == "up":
            self.landlock, self.cgroup = message[2], message[3]
            self._failed_starts = 0
            if self.unavailable is not None:
                for kind in self._pools:
                    self.restock(kind)  # what made every start fail is over, perhaps: the first cell will say so
        elif message[0] == "down":
            self._zygote_ended(message[1], message[2])
        elif message[0] == "lost":
            self._cell_lost(message[1])
        elif message[0] == "spent":
            self._cell_spent(*message[1:])

    def _supervisor_ended(self) -> None:
        self._disconnect(None)
        if self._process is not None:
            self._process.wait()
        if self._closing:
            return
        _log.warning("supervisor ended; starting another", last_words=self._log.last_words)
        self._note_failure()
        self._respawn_later()

    def _respawn_later(self) -> None:
        asyncio.get_running_loop().call_later(min(_RESTART_S * 2**self._failed_starts, _MAX_RESTART_S), self._respawn)

    def _respawn(self) -> None:
        if self._closing:
            return
        try:
            self._spawn()
        except OSError as error:  # no descriptor or process is left for it now
            self._log.last_words = str(error)
            self._note_failure()
            self._respawn_later()

    def _zygote_ended(self, name: str, was_ready: bool) -> None:
        _log.warning("zygote ended; another is started", zygote=name, last_words=self._log.last_words)
        if not was_ready:
            self._note_failure()
        if name == "homes":
            self._ask_homes_again()
            return
        self._kinds.clear()
        self._drop_parked()
        if self.unavailable is None:
            for kind in self._pools:
                self.restock(kind)

    def _note_failure(self) -> None:
        self._failed_starts += 1
        if self._failed_starts >= _FAILED_STARTS:
            self.unavailable = f"{self._log.last_words or 'no zygote could be started'}; `sandql doctor` names the mend"
            self._up.set()
            self._refuse(ProviderUnavailable(f"provider 'local' cannot isolate on this host, so it runs nothing: {self.unavailable}"))

    def _cell_lost(self, cell_id: int, retry_s: float = _RESTART_S) -> None:
        kind = self._kinds.pop(cell_id, None)
        if kind is not None:
            self._pools[kind].parking -= 1
            self._lost_in_a_row += 1
            doublings = min(self._lost_in_a_row // _LOST_PATIENTLY, _MOST_DOUBLINGS)
            retry_s = max(retry_s, min(_RESTART_S * 2**doublings, _MAX_LOST_RESTART_S))
            asyncio.get_running_loop().call_later(retry_s, self.restock, kind)
        wanted = self._homes.pop(cell_id, None)
        if wanted is not None:
            asyncio.get_running_loop().call_later(retry_s, self._ask_home, wanted)
        if (spending := self._spending.pop(cell_id, None)) is not None:
            spending.lost()

    def _cell_spent(self, cell_id: int, cpu_ms: int, peak_memory_kib: int, ended: bool) -> None:
        spending = self._spending.pop(cell_id, None) if ended else self._spending.get(cell_id)
        if spending is not None:
            spending.told(Spent(cpu_ms, peak_memory_kib), ended=ended)

    def _from_cells(self) -> None:
        assert self._cells is not None
        cell = receive_cell(self._cells)
        if isinstance(cell, int):
            _log.warning("a cell was lost: no descriptor was left for it", cell=cell)
            self._cell_lost(cell, _NO_DESCRIPTORS_S)
        elif cell is not None:
            self._deliver(cell)

    def _deliver(self, cell: Cell) -> None:
        self._up.set()
        self._lost_in_a_row = 0
        if self.unavailable is not None:
            _log.warning("sandboxes can be made again", after=self.unavailable)
            self.unavailable = None
        if cell.id in self._homes:
            waiter = self._homes.pop(cell.id).waiter
            if waiter.done():
                cell.close()
            else:
                waiter.set_result(cell)
            return
        if self._kinds.pop(cell.id, None) is None:
            cell.close()  # of a zygote that ended meanwhile
            return
        pool = self._pools[cell.kind]
        pool.parking -= 1
        while pool.waiters:
            waiter = pool.waiters.popleft()
            if not waiter.done():
                waiter.set_result(cell)
                return
        if len(pool.parked) < pool.size:
            pool.parked.append(cell)
        else:
            cell.close()  # it was made for somebody who did not wait for it
