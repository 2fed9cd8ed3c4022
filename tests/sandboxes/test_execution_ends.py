"""How executions end, and what is left of them: limits, restarts, a full disk, and the day on which nobody needs them any more."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sandql.core.errors import NotFound
from sandql.core.executions import ExecutionStatus
from sandql.core.values import Outcome, Output, Started
from sandql.resolvers import code, executions
from sandql.resolvers.operations import ExecuteCode
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.event_log import EventLog
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


async def test_what_is_too_much_is_removed_soon_after_it_has_become_so(tmp_path: Path) -> None:
    async with open_house(tmp_path, execution_logs_bytes=1 << 20) as house:
        for _ in range(8):
            await code.execute(house, ALICE, ExecuteCode("print('x' * 300_000)", "python"), f"key {_}")
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


async def test_a_disk_that_fills_up_ends_the_run_with_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    append = EventLog.append

    def fail(log: EventLog, *events: Started | Output) -> None:
        if log.seq > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(log, *events)

    monkeypatch.setattr(EventLog, "append", fail)
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
