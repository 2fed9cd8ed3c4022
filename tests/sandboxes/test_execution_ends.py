"""How executions end, and what is left of them: limits, restarts, a full disk, and the day on which nobody needs them any more."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sandql.core.errors import NotFound, ResourceError
from sandql.core.executions import ExecutionStatus
from sandql.core.values import Completed, Outcome, Output, Started
from sandql.resolvers import code, executions
from sandql.resolvers.operations import ExecuteCode
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.event_log import EventLog
from sandql.sandboxes.execution_end import Ending
from sandql.store import execution_rows
from sandql.store.database import SQLITE_FILE
from tests.support.engine import until
from tests.support.executions import end_of, text_of, until_printed, watched
from tests.support.house import ALICE, open_house

_COUNTING = "import time\nfor n in range(10**6):\n    print(n, flush=True)\n    time.sleep(0.01)"


async def test_a_flood_ends_with_the_limit_and_what_was_kept_is_there() -> None:
    async with open_house(execution_log_bytes=1 << 20) as house:
        id_ = await code.start(house, ALICE, ExecuteCode("while True: print('x' * 1000)", "python"))
        events = await watched(house, id_)
        problem = end_of(events).execution.problem
        assert problem is not None
        assert (problem.code, str(1 << 20) in problem.message) == ("OUTPUT_LIMIT", True)
        assert len(text_of(events)) >= 1 << 20
        assert text_of(await watched(house, id_)) == text_of(events)


async def test_a_graceful_restart_loses_no_event(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        done = await code.start(house, ALICE, ExecuteCode("print('whole')", "python"), "done")
        whole = await watched(house, done)
        cut = await code.start(house, ALICE, ExecuteCode(_COUNTING, "python"))
        await until_printed(house, cut, b"20\n")
        seen = await executions.some_events(house, ALICE, cut, 0, 1000)
    async with open_house(tmp_path) as house:
        assert await watched(house, done) == whole
        assert (await code.execute(house, ALICE, ExecuteCode("print('whole')", "python"), "other")).stdout == b"whole\n"
        assert await code.start(house, ALICE, ExecuteCode("print('whole')", "python"), "done") == done
        after = await watched(house, cut)
        assert after[: len(seen)] == seen
        assert [event.seq for event in after] == list(range(1, len(after) + 1))
        last = end_of(after).execution
        assert last.outcome is Outcome.SANDBOX_LOST
        assert last.problem is not None
        assert "restarted" in last.problem.message
        assert last.stdout.decode() == text_of(after)


async def test_what_is_too_old_or_too_much_is_removed(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        ids = [await _printed_much(house) for _ in range(6)]
    (tmp_path / "executions" / "ex_nobodys").mkdir()
    async with open_house(tmp_path, execution_logs_bytes=1 << 20) as house:
        assert await until(lambda: len(list((tmp_path / "executions").iterdir())) == 1)
        left = {item.id for item in (await executions.list_executions(house, ALICE, 100, None, None, None)).items}
        assert left == {path.name for path in (tmp_path / "executions").iterdir()}
        assert ids[-1] in left
        with pytest.raises(NotFound):
            await watched(house, ids[0])


async def _printed_much(house: Sandboxes) -> str:
    """The id of an execution that has ended, and takes more than half a MiB."""
    id_ = await code.start(house, ALICE, ExecuteCode("print('x' * 300_000)", "python"))
    await watched(house, id_)
    return id_


@pytest.mark.parametrize(
    "asked",
    [ExecuteCode("print('x' * 300_000)", "python"), ExecuteCode("open('made', 'w').write('x' * 600_000)", "python", artifacts=("made",))],
    ids=["printed", "artifacts"],
)
async def test_what_is_too_much_is_removed_soon_after_it_has_become_so(tmp_path: Path, asked: ExecuteCode) -> None:
    async with open_house(tmp_path, execution_logs_bytes=1 << 20) as house:
        for _ in range(8):
            await code.execute(house, ALICE, asked, f"key {_}")
        assert await until(lambda: len(list((tmp_path / "executions").iterdir())) <= 1)


async def test_an_end_that_cannot_be_written_is_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    complete, failures = EventLog.complete, [OSError(errno.ENOSPC, "no space left")] * 2

    def fail(log: EventLog, last: bytes) -> None:
        if failures:
            raise failures.pop()
        complete(log, last)

    monkeypatch.setattr(EventLog, "complete", fail)
    async with open_house() as house:
        id_ = await code.start(house, ALICE, ExecuteCode("print('whole')", "python"))
        whole = await watched(house, id_)
        assert text_of(whole) == "whole\n", "who watches is told all the same"
        assert await until(lambda: not house.durable.executions.going_on)
        assert (await executions.find_execution(house, ALICE, id_)).status is ExecutionStatus.ENDED
        assert not failures
        assert await watched(house, id_) == whole


def _full_after_three(append: Callable[..., None]) -> Callable[..., None]:
    def fail(log: EventLog, *events: Started | Output) -> None:
        if log.seq > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(log, *events)

    return fail


async def test_a_disk_that_fills_up_ends_the_run_with_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventLog, "append", _full_after_three(EventLog.append))
    async with open_house() as house:
        events = await watched(house, await code.start(house, ALICE, ExecuteCode(_COUNTING, "python")))
        ended = end_of(events).execution
        assert ended.outcome is Outcome.SANDBOX_LOST
        assert ended.problem is not None
        assert ended.problem.code == "RESOURCE_ERROR"
        assert "No space left" in ended.problem.message
        assert [event.seq for event in events] == [1, 2, 3, 4, 5]
        monkeypatch.undo()
        assert text_of(await watched(house, await code.start(house, ALICE, ExecuteCode("print(1)", "python")))) == "1\n"


@pytest.mark.parametrize(
    ("error", "often"), [(OSError(errno.EMFILE, "Too many open files"), 2), (RuntimeError("a defect"), 1)], ids=["passing", "defect"]
)
async def test_an_end_that_cannot_be_found_out_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch, error: Exception, often: int) -> None:
    tell, failures = Ending.event, [error] * often

    def fail(ending: Ending, folder: Path | None, seq: int) -> Completed:
        if folder is not None and failures:
            raise failures.pop()
        return tell(ending, folder, seq)

    monkeypatch.setattr(Ending, "event", fail)
    monkeypatch.setattr(EventLog, "append", _full_after_three(EventLog.append))
    async with open_house() as house:
        id_ = await code.start(house, ALICE, ExecuteCode(_COUNTING, "python"))
        assert end_of(await watched(house, id_)).execution.outcome is Outcome.SANDBOX_LOST
        assert await until(lambda: not house.durable.executions.going_on)
        assert not failures


async def test_a_server_ends_while_the_database_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise ResourceError("the database cannot be used now")

    async with asyncio.timeout(30):
        async with open_house(tmp_path) as house:
            id_ = await code.start(house, ALICE, ExecuteCode(_COUNTING, "python"))
            await until_printed(house, id_, b"3\n")
            monkeypatch.setattr(execution_rows, "end", away)
    monkeypatch.undo()
    async with open_house(tmp_path) as house:
        assert (await executions.find_execution(house, ALICE, id_)).status is ExecutionStatus.ENDED
        assert end_of(await watched(house, id_)).execution.outcome is Outcome.SANDBOX_LOST


@pytest.mark.parametrize("status", ["RUNNING", "ENDED"])
async def test_a_last_event_that_power_took_is_no_last_event(tmp_path: Path, status: str) -> None:
    """Played: such a file is what a file system may leave of one that was renamed and never synced."""
    async with open_house(tmp_path) as house:
        id_ = await code.start(house, ALICE, ExecuteCode("print('kept')", "python"))
        await watched(house, id_)
        assert await until(lambda: not house.durable.executions.going_on)
    (tmp_path / "executions" / id_ / "completed").write_bytes(b"")
    with sqlite3.connect(tmp_path / SQLITE_FILE) as rows:
        rows.execute("UPDATE executions SET status = ?", (status,))
    rows.close()
    async with open_house(tmp_path) as house:
        events = await watched(house, id_)
        assert text_of(events) == "kept\n"
        if status == "RUNNING":
            assert end_of(events).execution.outcome is Outcome.SANDBOX_LOST
        else:
            assert await executions.result_of(house, ALICE, id_) is None


@pytest.mark.parametrize("full", [False, True], ids=["slow", "full"])
async def test_what_has_completed_stays_so_when_the_server_ends_before_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, full: bool
) -> None:
    complete, has_room, writing = EventLog.complete, threading.Event(), threading.Event()

    def write(log: EventLog, last: bytes) -> None:
        writing.set()
        if not full:
            has_room.wait(2)
        elif not has_room.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        complete(log, last)

    monkeypatch.setattr(EventLog, "complete", write)
    async with open_house(tmp_path) as house:
        ids = [await code.start(house, ALICE, ExecuteCode("print(1)", "python")) for _ in range(12)]
        if full:
            for id_ in ids:
                await watched(house, id_)
            has_room.set()
        else:
            assert await until(writing.is_set)
    async with open_house(tmp_path) as house:
        for id_ in ids if full else ids[:1]:
            assert end_of(await watched(house, id_)).execution.outcome is Outcome.COMPLETED
