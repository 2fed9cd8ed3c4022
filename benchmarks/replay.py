"""How fast the events of an execution that has ended are replayed: where the house has them, and to a client of GraphQL."""

from __future__ import annotations

import asyncio
import json
import tempfile
from contextlib import aclosing
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from benchmarks.failure import Failed
from benchmarks.server import running_server
from benchmarks.table import Effort, Row, percentile
from benchmarks.websocket_client import Socket
from sandql.core.executions import ExecutionStatus, KeptExecution
from sandql.core.settings import load_settings
from sandql.core.values import Caller, Completed, Output, Stream
from sandql.sandboxes import execution_json
from sandql.sandboxes.event_log import EventLog, completed
from sandql.sandboxes.executions import Executions
from sandql.store import execution_rows
from sandql.store.store import open_store

_BOUND: Final = 50_000  # a second
_EVENTS: Final = 100_000
_LINE: Final = b"a line of output\n"
_START: Final = 'mutation { startExecution(code: "print(1)", language: "python") { id } }'
_WATCH: Final = """subscription ($id: ID!) { executionEvents(id: $id) {
  __typename ... on ExecutionOutput { seq stream text } ... on ExecutionCompleted { seq result { outcome } }
} }"""


def rows(effort: Effort) -> list[Row]:
    """A row for each place."""
    count = effort.runs(_EVENTS)
    rounds = max(2, effort.rounds)
    with tempfile.TemporaryDirectory(prefix="sandql-bench-replay-") as folder:
        inside = [asyncio.run(_replay(Path(folder), f"ex_{number}", count)) for number in range(rounds)]
    with tempfile.TemporaryDirectory(prefix="sandql-bench-replay-") as folder, running_server(state_dir=folder) as server:
        socket = Socket(server.port)
        id_ = _long_execution(socket, Path(folder), count)
        outside = [_watch(socket, f"watch-{number}", id_, count) for number in range(rounds)]
        socket.close()
    return [_row("in the house", count, inside), _row("through a subscription over WebSocket", count, outside)]


def _row(where: str, count: int, rates: list[float]) -> Row:
    rate = percentile(rates, 50)
    return Row(f"replay of {count:,} events {where}", f"{rate:,.0f}/s", f"≥ {_BOUND:,}/s", rate >= _BOUND)


async def _replay(folder: Path, id_: str, count: int) -> float:
    logs = folder / "executions"
    async with open_store(None, folder) as store:
        executions = Executions(store, "bench", logs, load_settings(state_dir=folder))
        row = KeptExecution(id_, "bench", None, "local", "python", "bench", ExecutionStatus.RUNNING, None, 0.0, None)
        await store.write(lambda connection: execution_rows.add(connection, row))
        _write(logs / id_, count)
        began = perf_counter()
        seen = 0
        async with aclosing(executions.events(Caller("bench"), id_, 0)) as events:
            async for _ in events:
                seen += 1
        took = perf_counter() - began
    if seen != count:
        raise Failed(f"{seen} events came back of {count}")
    return count / took


def _write(folder: Path, count: int) -> None:
    """Write a log of so many events, without the last one."""
    log = EventLog(folder, folder.name)
    for number in range(2, count + 1):
        log.append(Output(number, Stream.STDOUT, _LINE))
    log.close()


def _long_execution(socket: Socket, folder: Path, count: int) -> str:
    """The id of an execution that has ended, whose log has been replaced by a long one."""
    id_ = _next(socket, "start", _START)["startExecution"]["id"]
    socket.send({"id": "end", "type": "subscribe", "payload": {"query": _WATCH, "variables": {"id": id_}}})
    while b'"complete"' not in socket.message():
        pass
    log = folder / "executions" / id_
    last = completed(log)
    if last is None:
        raise Failed(f"{id_} has no end")
    for path in log.iterdir():
        path.unlink()
    log.rmdir()
    _write(log, count - 1)
    (log / "completed").write_bytes(execution_json.dump(Completed(count, execution_json.load(last).execution)))
    return id_


def _next(socket: Socket, id_: str, query: str) -> dict[str, Any]:
    socket.send({"id": id_, "type": "subscribe", "payload": {"query": query}})
    answer: dict[str, Any] = json.loads(socket.message())
    if answer.get("type") != "next" or b'"complete"' not in socket.message():
        raise Failed(str(answer))
    return answer["payload"]["data"]


def _watch(socket: Socket, id_: str, execution: str, count: int) -> float:
    began = perf_counter()
    socket.send({"id": id_, "type": "subscribe", "payload": {"query": _WATCH, "variables": {"id": execution}}})
    seen, last = 0, b""
    while b'"type":"complete"' not in (message := socket.message()):
        seen, last = seen + 1, message
    took = perf_counter() - began
    if seen != count or f'"seq":{count}'.encode() not in last:
        raise Failed(f"{seen} events came back of {count}; the last was {last[:500]!r}")
    return count / took
