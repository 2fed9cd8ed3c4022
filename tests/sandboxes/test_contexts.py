"""Contexts: sessions that keep their variables, whatever the code in them does."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from sandql.core.contexts import ContextInfo, ContextStatus
from sandql.core.errors import BadRequest, Conflict, NotFound, RateLimited, ResourceError, SandqlError, Unsupported
from sandql.core.terminals import TerminalInfo
from sandql.core.values import Completed, Event, Execution, Outcome, Signal, Started
from sandql.resolvers import code, contexts, executions, files, sandboxes, terminals
from sandql.resolvers.operations import AskedLimits, CreateContext, CreateSandbox, CreateTerminal, ExecuteCode
from sandql.sandboxes.borrow import Sandboxes
from tests.support.engine import open_descriptors, settled, until
from tests.support.house import ALICE, BOB, open_house

pytestmark = pytest.mark.unprivileged


@pytest.fixture(scope="module")
async def house() -> AsyncGenerator[Sandboxes]:
    """A house for all tests that need none of their own."""
    async with open_house() as opened:
        yield opened


class Session:
    """A context to run code in."""

    def __init__(self, house: Sandboxes, id_: str, language: str) -> None:
        self.house, self.id, self.language = house, id_, language

    async def run(self, source: str, timeout_ms: int | None = None) -> Execution:
        async with asyncio.timeout(40):
            return await code.execute(self.house, ALICE, ExecuteCode(source, self.language, timeout_ms=timeout_ms, context_id=self.id))

    async def shown(self, code: str) -> list[tuple[str, str]]:
        done = await self.run(code)
        assert done.outcome is Outcome.COMPLETED, done
        return [(item.mime_type, item.data) for item in done.results]

    async def value(self, code: str) -> str:
        (shown,) = [data for kind, data in await self.shown(code) if kind == "text/plain"]
        return shown

    @property
    def status(self) -> ContextStatus:
        return self.house.durable.contexts.find(ALICE, self.id).status


async def open_session(house: Sandboxes, language: str = "python", **asked: object) -> Session:
    info = await contexts.create_context(house, ALICE, CreateContext(language, **asked))  # pyright: ignore[reportArgumentType]
    return Session(house, info.id, info.language)


@pytest.fixture
async def python(house: Sandboxes) -> AsyncGenerator[Session]:
    session = await open_session(house)
    yield session
    await contexts.close_context(house, ALICE, session.id)


@pytest.fixture
async def javascript(house: Sandboxes) -> AsyncGenerator[Session]:
    session = await open_session(house, "js")
    yield session
    await contexts.close_context(house, ALICE, session.id)


async def test_variables_imports_and_functions_stay(python: Session) -> None:
    assert await python.shown("import math\nx = 20\ndef twice(n):\n    return 2 * n") == []
    assert await python.value("twice(x) + math.floor(2.5)") == "42"
    assert await python.value("_ + 1") == "43"
    done = await python.run("print('out'); import sys; print('err', file=sys.stderr); x")
    assert (done.stdout, done.stderr, done.exit_code) == (b"out\n", b"err\n", 0)
    assert await python.value("__name__") == "'__main__'"


async def test_values_are_shown_in_all_their_forms(python: Session) -> None:
    rich = "class R:\n    def _repr_html_(self): return '<b>☃</b>'\n    def _repr_png_(self): return b'png'\n    def __repr__(self): return 'R!'\nR()"
    assert dict(await python.shown(rich)) == {"text/html": "<b>☃</b>", "image/png": "cG5n", "text/plain": "R!"}
    bundle = "class B:\n    def _repr_mimebundle_(self): return {'application/json': {'a': [1]}, 'text/plain': 'b'}\nB()"
    assert dict(await python.shown(bundle)) == {"application/json": '{"a": [1]}', "text/plain": "b"}
    done = await python.run("display(1, 'two')\ndisplay([3])\n4")
    assert [(item.index, item.data) for item in done.results] == [(0, "1"), (1, "'two'"), (2, "[3]"), (3, "4")]
    assert await python.shown("None") == []


async def test_exceptions_are_told_and_leave_the_context_alive(python: Session) -> None:
    done = await python.run("def f():\n    raise KeyError('k')\nf()")
    assert done.outcome is Outcome.FAILED
    assert done.exception is not None
    assert (done.exception.name, done.exception.value) == ("KeyError", "'k'")
    assert done.exception.traceback == done.stderr.decode()
    assert "raise KeyError('k')" in done.exception.traceback, "the lines are shown"
    assert "driver" not in done.exception.traceback
    assert "/dev/null" not in done.exception.traceback, "nothing of ours is"
    syntax = await python.run("if")
    assert syntax.exception is not None
    assert syntax.exception.name == "SyntaxError"
    assert await python.value("1") == "1"


async def test_waiting_at_the_top(python: Session) -> None:
    assert await python.value("import asyncio\nasync def later(n):\n    await asyncio.sleep(0.01)\n    return n\nawait later(5)") == "5"
    assert await python.value("x = await later(6)\nx") == "6"


async def test_input_is_empty_and_says_so(python: Session) -> None:
    done = await python.run("input()")
    assert done.exception is not None
    assert done.exception.name == "EOFError"


async def test_an_interrupt_keeps_the_state(house: Sandboxes, python: Session) -> None:
    await python.run("x = 1")
    running = asyncio.ensure_future(python.run("open('running', 'w').close()\nimport time\nwhile True:\n    time.sleep(0.05)"))
    assert await until_there(house, "running")
    assert python.status is ContextStatus.BUSY
    assert await contexts.interrupt_context(house, ALICE, python.id)
    done = await running
    assert done.exception is not None
    assert done.exception.name == "KeyboardInterrupt"
    assert await python.value("x") == "1"
    assert not await contexts.interrupt_context(house, ALICE, python.id), "there is nothing to interrupt"
    assert await python.value("x") == "1"


async def until_there(house: Sandboxes, path: str) -> bool:
    for _ in range(400):
        if await files.list_files(house, ALICE, "", glob=path):
            await files.remove_file(house, ALICE, path, recursive=False)
            return True
        await asyncio.sleep(0.02)
    return False


async def test_time_that_is_over_interrupts_and_only_then_ends(python: Session) -> None:
    await python.run("x = 1")
    began = time.monotonic()
    done = await python.run("while True: pass", 400)
    assert done.outcome is Outcome.TIMED_OUT
    assert time.monotonic() - began < 2
    assert await python.value("x") == "1"
    stubborn = await python.run("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", 400)
    assert stubborn.outcome is Outcome.TIMED_OUT
    assert await until(lambda: python.status is ContextStatus.DEAD)
    with pytest.raises(Conflict, match="ended"):
        await python.run("x")


async def test_a_restart_clears_everything_but_the_files(house: Sandboxes, python: Session) -> None:
    await python.run("x = 1\nopen('stays.txt', 'w').write('here')")
    assert (await contexts.restart_context(house, ALICE, python.id)).status is ContextStatus.IDLE
    done = await python.run("x")
    assert done.exception is not None
    assert done.exception.name == "NameError"
    assert await python.value("open('stays.txt').read()") == "'here'"


async def test_two_pieces_never_run_at_once(house: Sandboxes, python: Session) -> None:
    await python.run("import time\ninside = 0\nmost = 0")
    piece = "inside += 1\nmost = max(most, inside)\ntime.sleep(0.02)\ninside -= 1"
    await asyncio.gather(*(python.run(piece) for _ in range(10)))
    assert await python.value("(inside, most)") == "(0, 1)"
    answers = await asyncio.gather(*(python.run("time.sleep(0.02)") for _ in range(40)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, RateLimited)]
    assert refused, "there is a bound to what waits"
    assert len(refused) < 40
    assert python.status is ContextStatus.IDLE


@pytest.mark.parametrize(
    ("language", "forever"),
    [("python", "while True: pass"), ("javascript", "while (true);"), ("javascript", "await new Promise(() => {})")],
)
async def test_an_interrupt_is_not_lost_however_early_it_comes(house: Sandboxes, language: str, forever: str) -> None:
    session = await open_session(house, language)
    for _ in range(10):
        running = asyncio.ensure_future(session.run(forever, 20_000))
        assert await until(lambda: session.status is ContextStatus.BUSY)
        await contexts.interrupt_context(house, ALICE, session.id)
        assert (await running).outcome is Outcome.FAILED
    assert await session.value("6 * 7") == "42"
    await contexts.close_context(house, ALICE, session.id)


async def test_code_in_a_context_outlives_who_started_it(house: Sandboxes, python: Session) -> None:
    asked = ExecuteCode("n = globals().get('n', 0) + 1\nprint('out')\nn", "python", context_id=python.id)
    first = await code.start(house, ALICE, asked, "once")
    assert await code.start(house, ALICE, asked, "once") == first
    events = [event async for event in executions.watch_execution(house, ALICE, first, 0)]
    assert [event.seq for event in events] == [1, 2, 3]
    last = events[-1]
    assert isinstance(last, Completed)
    assert (last.execution.id, last.execution.stdout, last.execution.outcome) == (first, b"out\n", Outcome.COMPLETED)
    assert [(item.mime_type, item.data) for item in last.execution.results] == [("text/plain", "1")]
    assert await code.execute(house, ALICE, replace(asked, code="n"), "twice") == await code.execute(house, ALICE, replace(asked, code="n"), "twice")
    assert await python.value("n") == "1", "the key ran it once"
    kept = await executions.find_execution(house, ALICE, first)
    assert (kept.sandbox_id, kept.language) == ("home", "python")


async def test_what_was_started_in_a_context_is_cancelled_running_or_waiting(house: Sandboxes, python: Session) -> None:
    await python.run("x = 1")
    running, waiting, stubborn = [
        await code.start(house, ALICE, ExecuteCode(source, "python", context_id=python.id))
        for source in (
            "import time\ntime.sleep(60)",
            "x = 2",
            "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        print('no', flush=True)",
        )
    ]
    assert await until(lambda: python.status is ContextStatus.BUSY)
    with pytest.raises(BadRequest, match="INT or KILL"):
        await executions.cancel_execution(house, ALICE, running, Signal.TERM)
    with pytest.raises(Conflict, match="reads no input"):
        await executions.send_input(house, ALICE, running, "x", "UTF8")
    assert await executions.cancel_execution(house, ALICE, waiting, Signal.KILL)
    assert await executions.cancel_execution(house, ALICE, running, Signal.KILL)
    for id_ in (running, waiting):
        async with asyncio.timeout(10):
            (last,) = [event async for event in executions.watch_execution(house, ALICE, id_, 0) if isinstance(event, Completed)]
        assert last.execution.outcome is Outcome.CANCELLED
    assert await until(lambda: python.status is ContextStatus.BUSY)
    seen: list[Event] = []
    async with asyncio.timeout(10):
        async for event in executions.watch_execution(house, ALICE, stubborn, 0):
            seen.append(event)
            if isinstance(event, Started):
                await executions.cancel_execution(house, ALICE, stubborn, Signal.KILL)
    assert isinstance(seen[-1], Completed)
    assert seen[-1].execution.outcome is Outcome.CANCELLED
    assert python.status is ContextStatus.DEAD, "it would not be interrupted"


async def test_javascript_keeps_its_variables(javascript: Session) -> None:
    assert await javascript.value("let x = 20; const f = (n) => 2 * n; f(x) + 2") == "42"
    assert await javascript.value("x") == "20"
    assert dict(await javascript.shown("({ a: [1, 'two'] })")) == {"text/plain": "{ a: [ 1, 'two' ] }", "application/json": '{"a":[1,"two"]}'}
    assert await javascript.value("await Promise.resolve(7)") == "7"
    done = await javascript.run("console.log('out'); console.error('err'); throw new TypeError('t')")
    assert (done.stdout, done.outcome) == (b"out\n", Outcome.FAILED)
    assert done.exception is not None
    assert (done.exception.name, done.exception.value) == ("TypeError", "t")
    assert (await javascript.run("while (true);", 400)).outcome is Outcome.TIMED_OUT
    assert (await javascript.run("await new Promise(() => {})", 400)).outcome is Outcome.TIMED_OUT
    assert await javascript.value("x") == "20"


_HOSTILE = [
    "import os\nos._exit(0)",
    "import os\nos.kill(os.getpid(), 9)",
    "import os\nos.closerange(0, 100)",
    "import os\nfor fd in range(3, 100):\n    try: os.write(fd, b'\\xff' * 100000)\n    except OSError: pass",
    "import os\nfor fd in range(3, 20):\n    try: os.write(fd, (1 << 31).to_bytes(4, 'little') * 1000)\n    except OSError: pass",
    "import json\njson.dumps = None\nimport sys\nsys.stdout = sys.stderr = None\n1",
    "import builtins\nbuiltins.repr = builtins.len = None",
    "class R:\n    def __repr__(self):\n        while True: pass\nR()",
    "class R:\n    def __repr__(self): raise BaseException('no')\nR()",
    "class R:\n    def __repr__(self): return 'x' * (30 << 20)\nR()",
    "class E(Exception):\n    def __str__(self): raise SystemExit(3)\nraise E",
    "for n in range(10000): display(n)",
    "import threading\nfor _ in range(20): threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()",
    "import os\nwhile True: os.fork()",
    "x = []\nwhile True: x.append(bytearray(1 << 20))",
    "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
    "raise SystemExit('bye')",
    "del __builtins__\n1",
    "import sys\nsys.modules.clear()\n1",
]


@pytest.mark.parametrize("program", _HOSTILE, ids=[str(number) for number in range(len(_HOSTILE))])
async def test_whatever_code_does_the_house_goes_on(house: Sandboxes, program: str) -> None:
    session = await open_session(house, limits=AskedLimits(memory_bytes=128 << 20, processes=24))
    try:
        done = await session.run(program, 1500)
        assert done.outcome in set(Outcome)
    except SandqlError as error:
        pytest.fail(f"a failed program is an answer, not {error!r}")
    try:  # alive or dead, it says so
        again = await session.run("1", 1500)
        assert again.outcome in set(Outcome)
    except Conflict:
        assert session.status is ContextStatus.DEAD
    await contexts.restart_context(house, ALICE, session.id)
    assert await session.value("6 * 7") == "42"
    await contexts.close_context(house, ALICE, session.id)
    with pytest.raises(NotFound):
        await session.run("1")


async def test_nothing_is_left_of_contexts_that_were_closed(house: Sandboxes) -> None:
    before = await settled(lambda: len(open_descriptors()))
    for _ in range(5):
        session = await open_session(house)
        await session.run("import subprocess\nsubprocess.Popen(['sleep', '1000'])")
        await contexts.close_context(house, ALICE, session.id)
    assert await until(lambda: len(open_descriptors()) <= before)


async def test_another_callers_context_is_like_one_that_never_was(house: Sandboxes, python: Session) -> None:
    await python.run("x = 1")
    messages: set[str] = set()
    for asked in (python.id, "cx_nobodys", ""):
        for act in (
            lambda asked=asked: code.execute(house, BOB, ExecuteCode("x = 2", "python", context_id=asked)),
            lambda asked=asked: contexts.restart_context(house, BOB, asked),
            lambda asked=asked: contexts.close_context(house, BOB, asked),
        ):
            with pytest.raises(NotFound) as refused:
                await act()
            messages.add(refused.value.message)
        for look in (contexts.find_context, contexts.interrupt_context):
            with pytest.raises(NotFound) as refused:
                await look(house, BOB, asked)
            messages.add(refused.value.message)
    assert len(messages) == 1
    assert await contexts.list_contexts(house, BOB, None) == []
    assert await python.value("x") == "1"


async def test_what_is_not_acceptable(house: Sandboxes, python: Session) -> None:
    with pytest.raises(Unsupported, match="python and javascript"):
        await open_session(house, "bash")
    with pytest.raises(BadRequest, match="language"):
        await open_session(house, "klingon")
    with pytest.raises(BadRequest, match="context is one of python"):
        await code.execute(house, ALICE, ExecuteCode("1", "bash", context_id=python.id))
    for asked in (
        ExecuteCode("1", "python", stdin="x"),
        ExecuteCode("1", "python", args=("a",)),
        ExecuteCode("1", "python", sandbox_id="home"),
        ExecuteCode("1", "python", limits=AskedLimits(processes=2)),
    ):
        with pytest.raises(BadRequest, match="leave it out"):
            await code.execute(house, ALICE, replace(asked, context_id=python.id))
    with pytest.raises(BadRequest, match="timeout"):
        await python.run("1", 0)


async def test_a_context_lives_in_its_sandbox_and_no_longer_than_it() -> None:
    async with open_house(max_contexts=2, context_idle_s=2) as house:
        made = await sandboxes.create_sandbox(house, ALICE, CreateSandbox(env=(("A", "b"),)))
        session = await open_session(house, sandbox_id=made.id)
        assert json.loads((await session.value("import os, json\njson.dumps(os.environ['A'])")).strip("'")) == "b"
        await session.run("open('made.txt', 'w').write('by a context')")
        assert (await files.read_file(house, ALICE, "made.txt", sandbox_id=made.id)).content.content == b"by a context"
        second = await open_session(house)
        with pytest.raises(ResourceError, match="at most 2"):
            await open_session(house)
        running = asyncio.ensure_future(session.run("open('up', 'w').close()\nimport time\ntime.sleep(60)"))
        async with asyncio.timeout(10):
            while not await files.list_files(house, ALICE, "", glob="up", sandbox_id=made.id):
                pass
        await sandboxes.destroy_sandbox(house, ALICE, made.id)
        assert (await running).outcome is Outcome.CANCELLED
        assert await until(lambda: not house.durable.contexts.list(ALICE, "home")), "one that nobody uses is closed"
        with pytest.raises(NotFound):
            await second.run("1")


@pytest.mark.parametrize("kind", ["context", "terminal"])
async def test_who_leaves_while_it_opens_and_asks_again_gets_that_one(kind: str) -> None:
    async with open_house() as house:
        asked: Callable[[], Awaitable[ContextInfo | TerminalInfo]]
        if kind == "context":
            asked = partial(contexts.create_context, house, ALICE, CreateContext("python"), "again")
            opened = house.durable.contexts._open  # pyright: ignore[reportPrivateUsage]  # what is being opened shows nowhere else
        else:
            asked = partial(terminals.create_terminal, house, ALICE, CreateTerminal(), "again")
            opened = house.durable.terminals._open  # pyright: ignore[reportPrivateUsage]  # as above
        first = asyncio.ensure_future(asked())
        assert await until(lambda: opened)
        first.cancel()
        await asyncio.wait([first])
        ids = {(await asked()).id for _ in range(2)}
        assert len(ids) == 1
        serving = [task for task in asyncio.all_tasks() if f"{kind.capitalize()}s._run" in repr(task)]
        assert len(serving) == 1
