"""Terminals: real ones, that go on when nobody looks."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import pytest

from sandql.core.errors import BadRequest, Conflict, NotFound, PayloadTooLarge, ResourceError
from sandql.core.terminals import Closed, Screen, TerminalEnd
from sandql.resolvers import files, sandboxes, terminals
from sandql.resolvers.operations import CreateSandbox, CreateTerminal
from sandql.sandboxes.borrow import Sandboxes
from tests.support.engine import open_descriptors, settled, until
from tests.support.house import ALICE, BOB, open_house

pytestmark = pytest.mark.unprivileged


@pytest.fixture(scope="module")
async def house() -> AsyncGenerator[Sandboxes]:
    """A house for all tests that need none of their own."""
    async with open_house() as opened:
        yield opened


class Shown:
    """What a terminal shows to one who is attached."""

    def __init__(self) -> None:
        self.data = b""
        self.offsets: list[int] = []
        self.truncated = False
        self.end: TerminalEnd | None = None

    async def follow(self, house: Sandboxes, id_: str, after: int | None = None) -> None:
        async with aclosing(terminals.watch_terminal(house, ALICE, id_, after)) as pieces:
            async for piece in pieces:
                self.offsets.append(piece.offset)
                if isinstance(piece, Screen):
                    self.data += piece.data
                    self.truncated |= piece.truncated
                else:
                    assert isinstance(piece, Closed)
                    self.end = piece.end

    async def shows(self, pattern: str, within_s: float = 20.0) -> re.Match[str]:
        """Wait until it shows something, line by line. Fails when it does not."""
        if not await until(lambda: self._find(pattern), within_s):
            raise AssertionError(f"{pattern!r} is not in {self.data[-2000:]!r}")
        found = self._find(pattern)
        assert found is not None
        return found

    def _find(self, pattern: str) -> re.Match[str] | None:
        text = re.sub("\x1b\\[\\?2004[hl]\r?", "", self.data.decode("utf-8", "replace"))  # what a shell says around its own line editing
        return re.search(pattern, text, re.MULTILINE)


@asynccontextmanager
async def opened(house: Sandboxes, *command: str, **asked: object) -> AsyncGenerator[tuple[str, Shown]]:
    """A terminal with somebody attached, closed on every way out."""
    info = await terminals.create_terminal(house, ALICE, CreateTerminal(command=command or ("bash", "--norc", "-i"), env=(("PS1", "> "),), **asked))  # pyright: ignore[reportArgumentType]
    shown = Shown()
    watching = asyncio.ensure_future(shown.follow(house, info.id))
    try:
        yield info.id, shown
    finally:
        await terminals.close_terminal(house, ALICE, info.id)
        await asyncio.wait_for(watching, 10)


async def keys(house: Sandboxes, id_: str, text: str) -> None:
    await terminals.type_into(house, ALICE, id_, text, "UTF8")


async def test_it_is_a_terminal_of_its_own_with_a_size(house: Sandboxes) -> None:
    async with opened(house, cols=100, rows=30) as (id_, shown):
        await keys(house, id_, "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all three; echo $TERM\n")
        await shown.shows(r"^/dev/pts/0\r$")
        await shown.shows(r"^30 100\r$")
        await shown.shows(r"^all three\r$")
        await shown.shows(r"^xterm-256color\r$")
        told = "import signal, os, time; signal.signal(28, lambda *_: print('told', os.get_terminal_size())); os.system('echo up'); time.sleep(60)"
        await keys(house, id_, f'python3 -c "{told}"\n')
        await shown.shows(r"^up\r$")
        await terminals.resize_terminal(house, ALICE, id_, 40, 10)
        await shown.shows(r"told os.terminal_size\(columns=40, lines=10\)")


async def test_job_control_and_interrupts_reach_the_foreground_only(house: Sandboxes) -> None:
    async with opened(house) as (id_, shown):
        await keys(house, id_, "sleep 1000 &\n")
        await shown.shows(r"^\[1\] \d+\r$")
        await keys(house, id_, "sleep 500\n")
        await shown.shows(r"sleep 500\r$")
        await asyncio.sleep(0.3)
        await keys(house, id_, "\x03")
        await keys(house, id_, "echo code $?; jobs\n")
        await shown.shows(r"^code 130\r$")
        await shown.shows(r"^\[1\]\+ +Running +sleep 1000 &\r$")
        await keys(house, id_, "cat\n")
        await shown.shows(r"cat\r$")
        await keys(house, id_, "echoed\n")
        await shown.shows(r"^echoed\r$")
        await keys(house, id_, "\x1a")
        await shown.shows(r"^\[2\]\+ +Stopped +cat\r$")
        await keys(house, id_, "fg\n")
        await shown.shows(r"^cat\r$")
        await keys(house, id_, "\x04")
        await keys(house, id_, "echo back\n")
        await shown.shows(r"^back\r$")


async def test_text_of_all_kinds_goes_both_ways(house: Sandboxes) -> None:
    async with opened(house) as (id_, shown):
        await keys(house, id_, "printf '\\033[31mred\\033[0m ☃ %s\\n' 'ünï 𝄞'\n")
        await shown.shows("\x1b\\[31mred\x1b\\[0m ☃ ünï 𝄞")
        await terminals.type_into(house, ALICE, id_, "ZWNobyBpbiBiYXNlNjQK", "BASE64")  # echo in base64
        await shown.shows(r"^in base64\r$")


_DRAW = """
import curses
def main(screen):
    curses.start_color()
    curses.init_pair(1, curses.COLOR_GREEN, curses.COLOR_BLACK)
    screen.addstr(5, 10, "drawn", curses.color_pair(1) | curses.A_BOLD)
    screen.refresh()
    while (key := screen.getkey()) != "q":
        screen.addstr(6, 10, f"key {key}")
        screen.refresh()
curses.wrapper(main)
"""


async def test_programs_that_draw_on_the_whole_screen_work(house: Sandboxes) -> None:
    await files.write_file(house, ALICE, "draw.py", _DRAW)
    async with opened(house) as (id_, shown):
        await keys(house, id_, "python3 draw.py\n")
        await shown.shows("\x1b\\[\\?1049h")
        await shown.shows("drawn")
        await keys(house, id_, "k")
        await shown.shows("key k")
        await keys(house, id_, "q")
        await shown.shows("\x1b\\[\\?1049l")
        await keys(house, id_, "top -b -n 1 | head -3\n")
        await shown.shows(r"Tasks:.*total|top -")


async def test_a_paste_of_a_mebibyte_arrives_whole(house: Sandboxes) -> None:
    data = "".join(chr(97 + number % 26) for number in range(1 << 20))
    async with opened(house) as (id_, shown):
        await keys(house, id_, "stty raw -echo; echo ready; head -c 1048576 | sha256sum; stty sane\n")
        await shown.shows(r"^ready")
        await keys(house, id_, data)
        await shown.shows(hashlib.sha256(data.encode()).hexdigest())
        with pytest.raises(PayloadTooLarge):
            await keys(house, id_, data + "x")


async def test_a_flood_loses_nothing_for_who_is_attached_however_slow(house: Sandboxes) -> None:
    flood = "import sys\nfor n in range(60000):\n    sys.stdout.write(f'{n:0199d}\\n')"
    await files.write_file(house, ALICE, "flood.py", flood)
    info = await terminals.create_terminal(house, ALICE, CreateTerminal(command=("python3", "flood.py")))
    seen, offsets = bytearray(), list[int]()
    async with aclosing(terminals.watch_terminal(house, ALICE, info.id, None)) as pieces:
        async for piece in pieces:
            offsets.append(piece.offset)
            if isinstance(piece, Screen):
                assert not piece.truncated
                seen += piece.data
                assert piece.offset == len(seen)
            if len(offsets) % 40 == 0:
                await asyncio.sleep(0.02)
    assert bytes(seen) == b"".join(b"%0199d\r\n" % number for number in range(60000))


async def test_who_comes_back_sees_the_last_of_it_and_goes_on_where_he_was(house: Sandboxes) -> None:
    async with opened(house) as (id_, shown):
        await keys(house, id_, "for n in $(seq 60000); do echo line $n; done; echo finished\n")
        await shown.shows(r"^finished\r$", 40)
        late = Shown()
        watching = asyncio.ensure_future(late.follow(house, id_, 0))
        await late.shows(r"^finished\r$")
        assert late.truncated
        assert shown.data.endswith(late.data)
        assert 200_000 < len(late.data) < len(shown.data)
        again = Shown()
        other = asyncio.ensure_future(again.follow(house, id_, late.offsets[-1]))
        await keys(house, id_, "echo only this\n")
        await again.shows(r"^only this\r$")
        assert "line" not in again.data.decode()
        assert not again.truncated
        for task in (watching, other):
            task.cancel()
        await asyncio.wait([watching, other])


async def test_it_goes_on_when_nobody_is_attached(house: Sandboxes) -> None:
    info = await terminals.create_terminal(house, ALICE, CreateTerminal(command=("sh", "-c", "seq 200000 | tail -n 1; seq 100000; exit 7")))
    assert await until(lambda: house.durable.terminals.find(ALICE, info.id).end is not None)
    shown = Shown()
    await asyncio.wait_for(shown.follow(house, info.id), 10)
    assert shown.end == TerminalEnd(7, None, None)
    assert shown.data.endswith(b"100000\r\n")
    with pytest.raises(Conflict, match="ended"):
        await keys(house, info.id, "x")
    await terminals.close_terminal(house, ALICE, info.id)


async def test_closing_ends_also_what_does_not_want_to_and_leaves_nothing(house: Sandboxes) -> None:
    before = await settled(lambda: len(open_descriptors()))
    deaf = "for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)"
    stubborn = f"import signal, time, subprocess\n{deaf}\nsubprocess.Popen(['sleep', '1000'])\nprint('up')\ntime.sleep(1000)"
    began = time.monotonic()
    async with opened(house, "python3", "-c", stubborn) as (id_, shown):
        await shown.shows("^up")
        await terminals.close_terminal(house, ALICE, id_)
        assert shown.end is None or shown.end.signal == "SIGKILL"
    assert time.monotonic() - began < 8
    assert await until(lambda: len(open_descriptors()) <= before)


async def test_a_program_that_ends_by_being_hung_up_on(house: Sandboxes) -> None:
    async with opened(house, "sh", "-c", "trap 'echo hung up; exit 0' HUP; echo up; while :; do sleep 0.1; done") as (id_, shown):
        await shown.shows("^up")
        await terminals.close_terminal(house, ALICE, id_)
        await shown.shows("hung up")
    assert shown.end is not None
    assert shown.end.reason == "closed"


async def test_a_hostile_program_in_a_terminal(house: Sandboxes) -> None:
    hostile = """
import fcntl, os, termios, struct, pty
try:
    fcntl.ioctl(0, termios.TIOCSTI, b"x")
    print("TIOCSTI was possible")
except OSError as error:
    print("refused", error.errno)
made = []
try:
    while True: made.append(os.open("/dev/pts/ptmx", os.O_RDWR))
except OSError:
    print("terminals", len(made))
for n in range(200):
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", n, 65535 - n, 0, 0))
print("\\x1b]0;" + "t" * 100000 + "\\x07", end="")
for fd in (0, 1, 2): os.close(fd)
os._exit(5)
"""
    await files.write_file(house, ALICE, "hostile.py", hostile)
    async with opened(house, "python3", "hostile.py") as (id_, shown):
        await shown.shows("^refused")
        await shown.shows(r"^terminals 1\d\r$")
        assert await until(lambda: house.durable.terminals.find(ALICE, id_).end is not None)
        assert await until(lambda: shown.end is not None)
    assert shown.end == TerminalEnd(5, None, None)


async def test_another_callers_terminal_is_like_one_that_never_was(house: Sandboxes) -> None:
    messages: set[str] = set()
    async with opened(house) as (id_, shown):
        for asked in (id_, "tm_nobodys", ""):
            for act in (
                lambda asked=asked: terminals.type_into(house, BOB, asked, "exit\n", "UTF8"),
                lambda asked=asked: terminals.close_terminal(house, BOB, asked),
                lambda asked=asked: anext(terminals.watch_terminal(house, BOB, asked, None)),
            ):
                with pytest.raises(NotFound) as refused:
                    await act()
                messages.add(refused.value.message)
            for look in (
                lambda asked=asked: terminals.find_terminal(house, BOB, asked),
                lambda asked=asked: terminals.resize_terminal(house, BOB, asked, 9, 9),
            ):
                with pytest.raises(NotFound) as refused:
                    await look()
                messages.add(refused.value.message)
        assert len(messages) == 1
        assert await terminals.list_terminals(house, BOB, None) == []
        await keys(house, id_, "stty size\n")
        await shown.shows(r"^24 80\r$")


@pytest.mark.parametrize("asked", [{"cols": 0}, {"rows": 1001}, {"cols": -1}, {"command": ()}, {"command": ("a\0b",)}, {"env": (("A B", "c"),)}])
async def test_what_is_not_acceptable_opens_nothing(house: Sandboxes, asked: dict[str, object]) -> None:
    known = len(await terminals.list_terminals(house, ALICE, None))
    with pytest.raises(BadRequest):
        await terminals.create_terminal(house, ALICE, CreateTerminal(**asked))  # pyright: ignore[reportArgumentType]
    assert len(await terminals.list_terminals(house, ALICE, None)) == known


async def test_a_sandbox_that_is_destroyed_ends_its_terminals_and_an_open_one_is_no_work() -> None:
    async with open_house(terminal_idle_s=2) as house:
        made = await sandboxes.create_sandbox(house, ALICE, CreateSandbox())
        async with opened(house, sandbox_id=made.id) as (id_, shown):
            await keys(house, id_, "echo alive\n")
            await shown.shows(r"^alive\r$")
            await sandboxes.destroy_sandbox(house, ALICE, made.id)
            assert await until(lambda: shown.end is not None)
        brief = await sandboxes.create_sandbox(house, ALICE, CreateSandbox(timeout_ms=700))
        async with opened(house, sandbox_id=brief.id) as (id_, shown):
            assert await until(lambda: shown.end is not None), "its sandbox expires under it"
        async with opened(house) as (id_, shown):
            assert await until(lambda: shown.end is not None)
            assert shown.end is not None
            assert shown.end.reason is not None
            assert "nothing was typed" in shown.end.reason


async def test_there_are_no_more_than_may_be_and_a_key_opens_one() -> None:
    async with open_house(max_terminals=2) as house:
        first = await terminals.create_terminal(house, ALICE, CreateTerminal(), "key")
        assert (await terminals.create_terminal(house, ALICE, CreateTerminal(), "key")).id == first.id
        await terminals.create_terminal(house, ALICE, CreateTerminal())
        with pytest.raises(ResourceError, match="at most 2"):
            await terminals.create_terminal(house, ALICE, CreateTerminal())
        await terminals.create_terminal(house, BOB, CreateTerminal())
        await terminals.close_terminal(house, ALICE, first.id)
        await terminals.create_terminal(house, ALICE, CreateTerminal())
