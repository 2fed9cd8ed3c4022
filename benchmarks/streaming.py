"""Output through a subscription over WebSocket: how soon the first of it comes, how fast much of it, and a reader that stops reading."""

from __future__ import annotations

import json
import time
from statistics import median
from typing import Final

from benchmarks.failure import Failed
from benchmarks.http_client import Connection, run_code
from benchmarks.processes import Process, cpu, forget_peak, peak_rss_bytes, rss_bytes, tree
from benchmarks.server import Server
from benchmarks.table import Effort, Row, mib, ms
from benchmarks.websocket_client import Socket

_FIRST_BOUND_S: Final = 0.010
_RATE_BOUND_BYTES: Final = 50 << 20  # a second
_GROWTH_BOUND_BYTES: Final = 32 << 20
_STREAM_BYTES: Final = 1 << 30
_TIMEOUT_MS: Final = 300_000
_TEXT: Final = b'"text":"'
_TEXT_END: Final = b'"}}}}'
_STAMP: Final = "import time\nprint(time.time_ns(), flush=True)\ntime.sleep(0.05)"  # the program goes on: what comes is not its end
_FLOOD: Final = 'import os\nlines = (b"%s\\n" % (b"x" * 79)) * 819\nleft = {size}\nwhile left > 0:\n    left -= os.write(1, lines[:left])'
_REST_S: Final = 0.5
_REST_WAIT_S: Final = 20.0


def rows(server: Server, effort: Effort) -> list[Row]:
    """First event, rate and growth of a gibibyte, and what a reader that stops does."""
    return [_first_event(server, effort), *_flood(server, round(_STREAM_BYTES * min(effort.scale, 1.0))), _stopped_reader(server)]


def _first_event(server: Server, effort: Effort) -> Row:
    """The program writes the time at which it writes; the cell's wall clock is that of this process."""
    socket = Socket(server.port)
    delays: list[float] = []
    for number in range(effort.runs(60)):
        socket.run(f"first-{number}", _STAMP)
        while True:
            message = socket.message()
            if _TEXT in message:
                arrived = time.time_ns()
                delays.append((arrived - int(_event(message)["text"])) / 1e9)
            elif b'"complete"' in message:
                break
    socket.close()
    usual = median(delays)
    return Row("first streamed event after the program's write, p50", ms(usual), f"≤ {ms(_FIRST_BOUND_S)}", usual <= _FIRST_BOUND_S)


def _flood(server: Server, size: int) -> list[Row]:
    """Lines of 80 characters, each escaped once in JSON."""
    socket = Socket(server.port)
    forget_peak(server.pid)
    before = rss_bytes(server.pid)
    began = time.perf_counter()
    socket.run("flood", _FLOOD.format(size=size), _TIMEOUT_MS)
    received = 0
    while b'"outcome"' not in (message := socket.message()):
        received += _text_bytes(message)
    rate = received / (time.perf_counter() - began)
    socket.close()
    if received != size or b'"outcome":"COMPLETED"' not in message:
        raise Failed(f"expected {size} bytes and COMPLETED, got {received} and {message[:500]!r}")
    growth = max(0, peak_rss_bytes(server.pid) - before)
    return [
        Row(f"{mib(size)} of output through a subscription", f"{mib(rate)}/s", f"≥ {mib(_RATE_BOUND_BYTES)}/s", rate >= _RATE_BOUND_BYTES),
        Row("growth of the server's memory meanwhile, at its peak", mib(growth), f"≤ {mib(_GROWTH_BOUND_BYTES)}", growth <= _GROWTH_BOUND_BYTES),
    ]


def _stopped_reader(server: Server) -> Row:
    """One client leaves unread what its endless program writes; another one's program runs as ever."""
    before = rss_bytes(server.pid)
    parked = {process.pid for process in _cells(server)}
    socket = Socket(server.port)
    socket.run("stopped", _FLOOD.format(size=1 << 50), _TIMEOUT_MS)
    while _TEXT not in socket.message():
        pass
    stopped = _comes_to_rest(server, parked)
    other = Connection(server.port)
    answered_s = median(other.ask(run_code("print(1)", "python")) for _ in range(20))
    other.close()
    growth = max(0, rss_bytes(server.pid) - before)
    socket.close()
    measured = f"program {'at rest' if stopped else 'RUNNING'}, another caller's run {ms(answered_s)}, server grew {mib(growth)}"
    return Row("a reader that stops reading", measured, "the program stops, not the server", stopped and growth <= _GROWTH_BOUND_BYTES)


def _comes_to_rest(server: Server, parked: set[int]) -> bool:
    """Whether the busiest cell stops using CPU time, before long."""
    until = time.perf_counter() + _REST_WAIT_S
    spent = -1.0
    while time.perf_counter() < until:
        now = sum(cpu(process.pid).own_s for process in _cells(server))
        if now == spent:
            return True
        spent = now
        time.sleep(_REST_S)  # the span over which CPU time is compared
    return False


def _cells(server: Server) -> list[Process]:
    return [process for process in tree(server.pid) if process.is_cell]


def _event(message: bytes) -> dict[str, str]:
    return json.loads(message)["payload"]["data"]["executeCode"]


def _text_bytes(message: bytes) -> int:
    """How many bytes a program wrote into an event, without parsing it: each newline is two characters in JSON."""
    at = message.find(_TEXT)
    if at < 0:
        return 0
    return len(message) - at - len(_TEXT) - len(_TEXT_END) - message.count(b"\\")
