"""Executions that outlive their client: watched from any event on, spoken to, cancelled, and complete after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from sandql.core.errors import BadRequest, Conflict, NotFound, ResourceError
from sandql.core.executions import ExecutionStatus
from sandql.core.values import Completed, Event, Outcome, Output, Signal, Started
from sandql.resolvers import code, executions, files
from sandql.resolvers.operations import ExecuteCode, RunCommand
from sandql.sandboxes.borrow import Sandboxes
from tests.support.executions import end_of, text_of, until_printed, watched
from tests.support.house import ALICE, BOB, open_house

_SLOWLY = "import time\nfor n in range(300):\n    print(n)\n    if n % 10 == 0: time.sleep(0.01)"
_DEAF = "import os, time\nos.close(0)\nprint('closed', flush=True)\ntime.sleep(60)"


@pytest.fixture(scope="module")
async def house() -> AsyncGenerator[Sandboxes]:
    """A house for all tests that need none of their own."""
    async with open_house(max_executions=8) as opened:
        yield opened


async def test_it_returns_at_once_and_replays_from_any_event(house: Sandboxes) -> None:
    id_ = await code.start(house, ALICE, ExecuteCode("import time\nfor n in range(20):\n    print(n, flush=True)\n    time.sleep(0.02)", "python"))
    assert (await executions.find_execution(house, ALICE, id_)).status is ExecutionStatus.RUNNING
    live = await watched(house, id_)
    assert [event.seq for event in live] == list(range(1, len(live) + 1))
    assert isinstance(live[0], Started)
    assert text_of(live) == "".join(f"{n}\n" for n in range(20))
    for after in range(len(live) + 2):
        assert await watched(house, id_, after) == live[after:]
    found = await executions.find_execution(house, ALICE, id_)
    assert (found.status, found.outcome) == (ExecutionStatus.ENDED, Outcome.COMPLETED)
    assert await executions.result_of(house, ALICE, id_) == end_of(live).execution
    assert await executions.last_seq_of(house, ALICE, id_) == len(live)
    assert await executions.some_events(house, ALICE, id_, 3, 4) == live[3:7]


async def test_many_watch_at_once_and_come_back(house: Sandboxes) -> None:
    id_ = await code.start(house, ALICE, ExecuteCode(_SLOWLY, "python"))

    async def come_and_go(number: int) -> list[Event]:
        seen: list[Event] = []
        while not seen or not isinstance(seen[-1], Completed):
            async with aclosing(executions.watch_execution(house, ALICE, id_, len(seen))) as events:
                async for event in events:
                    seen.append(event)
                    if len(seen) % (3 + number) == 0:
                        break
        return seen

    all_seen = await asyncio.gather(*(come_and_go(number) for number in range(8)))
    assert all(seen == all_seen[0] for seen in all_seen)
    assert text_of(all_seen[0]) == "".join(f"{n}\n" for n in range(300))


async def test_characters_are_whole_and_bytes_are_kept(house: Sandboxes) -> None:
    program = "import os, time\nfor byte in '☃ü𝄞'.encode():\n    os.write(1, bytes([byte]))\n    time.sleep(0.02)\nos.write(1, b'\\xff\\xe2')"
    events = await watched(house, await code.start(house, ALICE, ExecuteCode(program, "python")))
    pieces = [event.data for event in events if isinstance(event, Output)]
    assert b"".join(pieces) == "☃ü𝄞".encode() + b"\xff\xe2"
    assert "".join(piece.decode("utf-8", "replace") for piece in pieces) == "☃ü𝄞��"


async def test_input_is_sent_while_it_runs(house: Sandboxes) -> None:
    program = "import sys\nfor line in sys.stdin:\n    print('got', line.strip(), flush=True)\nprint('end')"
    id_ = await code.start(house, ALICE, ExecuteCode(program, "python", stdin="first\n", interactive=True))
    for number in range(5):
        await executions.send_input(house, ALICE, id_, f"{number}\n", "UTF8")
        await until_printed(house, id_, b"got %d\n" % number)
    await executions.send_input(house, ALICE, id_, "/w==", "BASE64")
    await executions.close_input(house, ALICE, id_)
    await executions.close_input(house, ALICE, id_)
    events = await watched(house, id_)
    assert text_of(events).startswith("got first\ngot 0\n")
    with pytest.raises(Conflict, match="ended"):
        await executions.send_input(house, ALICE, id_, "late", "UTF8")


async def test_a_large_input_arrives_whole(house: Sandboxes) -> None:
    count = "import sys, hashlib\ndata = sys.stdin.buffer.read()\nprint(len(data), hashlib.sha256(data).hexdigest())"
    id_ = await code.start(house, ALICE, ExecuteCode(count, "python", interactive=True))
    piece = "x" * (1 << 20)
    for _ in range(6):
        await executions.send_input(house, ALICE, id_, piece, "UTF8")
    await executions.close_input(house, ALICE, id_)
    assert text_of(await watched(house, id_)).startswith(f"{6 << 20} ")


async def test_a_program_that_never_reads_or_reads_no_more(house: Sandboxes) -> None:
    id_ = await code.start(house, ALICE, ExecuteCode(_DEAF, "python", interactive=True))
    await until_printed(house, id_, b"closed")
    with pytest.raises(Conflict, match="no input"):
        await executions.send_input(house, ALICE, id_, "x" * 100_000, "UTF8")
    assert await executions.cancel_execution(house, ALICE, id_, Signal.KILL)
    assert end_of(await watched(house, id_)).execution.outcome is Outcome.CANCELLED
    plain = await code.start(house, ALICE, ExecuteCode("import time\ntime.sleep(60)", "python"))
    with pytest.raises(Conflict):
        await executions.send_input(house, ALICE, plain, "nobody asked", "UTF8")
    deaf = await code.start(house, ALICE, ExecuteCode("import time\nprint('up', flush=True)\ntime.sleep(60)", "python", interactive=True))
    await until_printed(house, deaf, b"up")
    sending = asyncio.ensure_future(executions.send_input(house, ALICE, deaf, "x" * (1 << 20), "UTF8"))
    await asyncio.sleep(0.2)
    assert not sending.done(), "it waits while the program does not read"
    most = house.settings.stdin_bytes
    together = [asyncio.ensure_future(executions.send_input(house, ALICE, deaf, "x" * (most // 2), "UTF8")) for _ in range(10)]
    refused, _ = await asyncio.wait(together, timeout=0.5)
    assert len(refused) >= 8, "what comes at the same time counts together"
    assert all(isinstance(one.exception(), Conflict) for one in refused)
    for id_ in (plain, deaf):
        assert await executions.cancel_execution(house, ALICE, id_, Signal.KILL)
        assert not await asyncio.wait_for(_is_running(house, id_), 20)
    for sent in (sending, *(one for one in together if one not in refused)):
        with pytest.raises(Conflict):
            await asyncio.wait_for(sent, 10)


async def _is_running(house: Sandboxes, id_: str) -> bool:
    await watched(house, id_)
    return await executions.cancel_execution(house, ALICE, id_, Signal.TERM)


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM"])
async def test_signals_reach_the_program(house: Sandboxes, name: str) -> None:
    handle = f"signal.signal(signal.SIG{name}, lambda *_: os.write(1, b'got it'))"  # print is not to be called while it is being called
    program = f"import os, signal, time\n{handle}\nprint('up', flush=True)\ntime.sleep(60)"
    id_ = await code.start(house, ALICE, ExecuteCode(program, "python"))
    await until_printed(house, id_, b"up")
    assert await executions.cancel_execution(house, ALICE, id_, Signal[name])
    await until_printed(house, id_, b"got it")
    assert await executions.cancel_execution(house, ALICE, id_, Signal.STOP)
    assert await executions.cancel_execution(house, ALICE, id_, Signal.CONT)
    assert await executions.cancel_execution(house, ALICE, id_, Signal.KILL)
    assert end_of(await watched(house, id_)).execution.outcome is Outcome.CANCELLED


@pytest.mark.parametrize(
    "asked",
    [ExecuteCode("import time\ntime.sleep(5)", "python"), RunCommand(line="sleep 5"), ExecuteCode("int main(void) { for (;;); }", "c")],
    ids=["python", "a command", "a compiler"],
)
async def test_an_interrupt_before_the_program_begins_says_nothing_of_the_house(house: Sandboxes, asked: ExecuteCode | RunCommand) -> None:
    for steps in range(16):
        id_ = await code.start(house, ALICE, asked)
        for _ in range(2 * steps):
            await asyncio.sleep(0)
        assert await executions.cancel_execution(house, ALICE, id_, Signal.INT)
        ended = end_of(await watched(house, id_)).execution
        assert (ended.outcome, ended.signal) == (Outcome.KILLED, "SIGINT"), (steps, ended)
        trace = b'Traceback (most recent call last):\n  File "/workspace/main.py", line '
        assert ended.stderr == b"" or (ended.stderr.startswith(trace) and b"/cell/" not in ended.stderr)


async def test_a_signal_reaches_what_a_shell_started_and_nobody_else(house: Sandboxes) -> None:
    other = await code.start(house, ALICE, ExecuteCode("import time\nprint('up', flush=True)\ntime.sleep(3)\nprint('untouched')", "python"))
    await until_printed(house, other, b"up")
    id_ = await code.start(house, ALICE, RunCommand(line="trap 'echo trapped' TERM; sh -c 'echo up; exec sleep 60'; echo after"))
    await until_printed(house, id_, b"up")
    assert await executions.cancel_execution(house, ALICE, id_, Signal.TERM)
    assert end_of(await watched(house, id_)).execution.stdout == b"up\ntrapped\nafter\n"
    assert end_of(await watched(house, other)).execution.stdout == b"up\nuntouched\n"


async def test_commands(house: Sandboxes) -> None:
    async def run(**asked: object) -> tuple[bytes, bytes, int | None]:
        done = await code.execute(house, ALICE, RunCommand(**asked))  # pyright: ignore[reportArgumentType]  (each case gives what it is about)
        assert done.language == "command"
        return done.stdout, done.stderr, done.exit_code

    assert await run(argv=("echo", "a  b", "$HOME", ";")) == (b"a  b $HOME ;\n", b"", 0)
    assert await run(line="echo $HOME | tr a-z A-Z; exit 3") == (b"/WORKSPACE\n", b"", 3)
    assert await run(argv=("cat",), stdin="in ☃") == ("in ☃".encode(), b"", 0)
    assert await run(argv=("printenv", "X"), env=(("X", "y"),)) == (b"y\n", b"", 0)
    assert (await run(argv=("no-such-program",)))[2] == 127
    assert (await run(argv=("/etc/passwd",)))[2] == 127
    assert (await run(line="ls -A"))[0] == b"", "nothing of ours lies in the workspace"
    for bad in ({}, {"argv": ("a",), "line": "b"}, {"argv": ()}, {"argv": ("",)}, {"argv": ("a\0b",)}, {"line": "a\0b"}):
        with pytest.raises(BadRequest):
            await run(**bad)


async def test_another_callers_id_is_like_one_that_never_was(house: Sandboxes) -> None:
    id_ = await code.start(house, ALICE, ExecuteCode("import time\nprint('up', flush=True)\ntime.sleep(60)", "python", interactive=True))
    await until_printed(house, id_, b"up")
    messages: set[str] = set()
    for asked in (id_, "ex_nobodys", "", "../" + id_, id_ + "/../" + id_):
        for act in (
            lambda asked=asked: executions.find_execution(house, BOB, asked),
            lambda asked=asked: executions.result_of(house, BOB, asked),
            lambda asked=asked: executions.last_seq_of(house, BOB, asked),
            lambda asked=asked: executions.some_events(house, BOB, asked, 0, 10),
            lambda asked=asked: anext(executions.watch_execution(house, BOB, asked, 0)),
            lambda asked=asked: executions.send_input(house, BOB, asked, "x", "UTF8"),
            lambda asked=asked: executions.close_input(house, BOB, asked),
            lambda asked=asked: executions.cancel_execution(house, BOB, asked, Signal.KILL),
        ):
            with pytest.raises(NotFound) as refused:
                await act()
            messages.add(refused.value.message)
    assert len(messages) == 1
    assert (await executions.list_executions(house, BOB, 100, None, None, None)).items == [] or all(
        item.owner == "bob" for item in (await executions.list_executions(house, BOB, 100, None, None, None)).items
    )
    assert (await executions.find_execution(house, ALICE, id_)).status is ExecutionStatus.RUNNING, "nothing happened to it"
    await executions.cancel_execution(house, ALICE, id_, Signal.KILL)
    await watched(house, id_)


async def test_there_are_no_more_at_one_time_than_may_be() -> None:
    async with open_house(max_executions=2) as house:
        sleeper = ExecuteCode("import time\ntime.sleep(60)", "python")
        ids = [await code.start(house, ALICE, sleeper) for _ in range(2)]
        with pytest.raises(ResourceError, match="at most 2"):
            await code.start(house, ALICE, sleeper)
        other = await code.start(house, BOB, ExecuteCode("print(1)", "python"))
        await executions.cancel_execution(house, ALICE, ids[0], Signal.KILL)
        await watched(house, ids[0])
        await code.start(house, ALICE, sleeper)
        listed = await executions.list_executions(house, ALICE, 10, None, None, ExecutionStatus.RUNNING)
        assert len(listed.items) == 2
        assert other not in {item.id for item in listed.items}


async def test_what_waits_for_its_turn_can_be_cancelled() -> None:
    async with open_house(max_concurrent_runs=1) as house:
        first = await code.start(house, ALICE, ExecuteCode("import time\nprint('up', flush=True)\ntime.sleep(60)", "python"))
        await until_printed(house, first, b"up")
        waiting = await code.start(house, ALICE, ExecuteCode("print('never')", "python"))
        assert await asyncio.wait_for(executions.cancel_execution(house, ALICE, waiting, Signal.KILL), 5)
        ended = end_of(await asyncio.wait_for(watched(house, waiting), 5)).execution
        assert (ended.outcome, ended.stdout) == (Outcome.CANCELLED, b"")
        assert not await executions.cancel_execution(house, ALICE, waiting, Signal.KILL)
        assert await executions.cancel_execution(house, ALICE, first, Signal.KILL)
        assert end_of(await watched(house, first)).execution.outcome is Outcome.CANCELLED


async def test_input_that_is_not_read_counts_until_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandql.sandboxes.executions._INPUT_S", 0.2)
    async with open_house(stdin_bytes=1 << 20) as house:
        program = "import os, sys\nprint('up', flush=True)\nwhile not os.path.exists('go'): pass\nprint(len(sys.stdin.read()))"
        id_ = await code.start(house, ALICE, ExecuteCode(program, "python", sandbox_id="home", interactive=True))
        await until_printed(house, id_, b"up")
        with pytest.raises(ResourceError, match="do not send it again"):
            await executions.send_input(house, ALICE, id_, "x" * 900_000, "UTF8")
        with pytest.raises(Conflict, match="900000 do"):
            await executions.send_input(house, ALICE, id_, "x" * 200_000, "UTF8")
        await files.write_file(house, ALICE, "go", "")
        await executions.close_input(house, ALICE, id_)
        assert text_of(await watched(house, id_)) == "up\n900000\n"


async def test_a_page_of_large_events_is_short(house: Sandboxes) -> None:
    id_ = await code.start(house, ALICE, ExecuteCode("import os\nfor _ in range(160): os.write(1, b'x' * 65_536)", "python"))
    whole = await watched(house, id_)
    found: list[Event] = []
    while not found or not isinstance(found[-1], Completed):
        page = await executions.some_events(house, ALICE, id_, len(found), 10_000)
        assert sum(len(event.data) for event in page if isinstance(event, Output)) < 5 << 20
        found += page
    assert found == whole
