"""What the server's whole tree of processes holds, as PSS: idle, for each parked cell, and with 500 programs asleep."""

from __future__ import annotations

import time
from contextlib import ExitStack
from statistics import median
from typing import Final

from benchmarks.processes import Process, pss_bytes, tree, tree_pss_bytes
from benchmarks.server import Server
from benchmarks.table import Effort, Row, mib
from benchmarks.websocket_client import Socket

_IDLE_BOUND_BYTES: Final = 200 << 20
_CELL_BOUND_BYTES: Final = 4 << 20
_SLEEPING_BOUND_BYTES: Final = 3 << 30
_SLEEPERS: Final = 500
_A_SOCKET: Final = 100  # the most operations on one connection
_SLEEP: Final = 'import time\nprint("asleep", flush=True)\ntime.sleep(600)'
_TIMEOUT_MS: Final = 300_000
_SETTLE_S: Final = 0.5
_SETTLE_WAIT_S: Final = 20.0


def rows(server: Server, effort: Effort) -> list[Row]:
    """The idle server is that of all the measurements before this one: it has run thousands of programs."""
    cells = _settled_cells(server)
    idle = tree_pss_bytes(server.pid)
    # The largest are those of python; cells that wait for other programs hold a few pages.
    python = max(pss_bytes(cell.pid) for cell in cells if not cell.name.startswith("node"))
    node = [pss_bytes(cell.pid) for cell in cells if cell.name.startswith("node")]
    nodes = f", {len(node)} of node, {mib(median(node))} each" if node else ""
    sleepers = effort.runs(_SLEEPERS)
    sleeping = _sleeping(server, sleepers)
    return [
        Row(
            f"idle server with its pools ({len(cells) - len(node)} cells of python and for other programs{nodes}), PSS",
            mib(idle),
            f"≤ {mib(_IDLE_BOUND_BYTES)}",
            idle <= _IDLE_BOUND_BYTES,
        ),
        Row("a parked python cell, PSS", mib(python), f"≤ {mib(_CELL_BOUND_BYTES)}", python <= _CELL_BOUND_BYTES),
        Row(f"{sleepers} sleeping runs at once, PSS of all", mib(sleeping), f"≤ {mib(_SLEEPING_BOUND_BYTES)}", sleeping <= _SLEEPING_BOUND_BYTES),
    ]


def _settled_cells(server: Server) -> list[Process]:
    """The parked cells, once no more come or go."""
    until = time.perf_counter() + _SETTLE_WAIT_S
    before: list[Process] = []
    while True:
        time.sleep(_SETTLE_S)  # the span in which nothing may change
        cells = [process for process in tree(server.pid) if process.is_cell]
        if cells == before or time.perf_counter() > until:
            return cells
        before = cells


def _sleeping(server: Server, count: int) -> int:
    with ExitStack() as stack:
        for first in range(0, count, _A_SOCKET):
            socket = Socket(server.port)
            stack.callback(socket.close)
            here = min(_A_SOCKET, count - first)
            for number in range(here):
                socket.run(f"sleeper-{number}", _SLEEP, _TIMEOUT_MS)
            asleep = 0
            while asleep < here:
                asleep += b"asleep" in socket.message()
        return tree_pss_bytes(server.pid)
