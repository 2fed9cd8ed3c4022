"""The local provider's terminals: what a program finds in one, and what it cannot do to whoever holds the other end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from sandql.core.errors import Conflict
from sandql.core.terminals import TerminalEnd, TerminalRequest, TerminalSize
from sandql.core.values import Limits
from sandql.providers.base import Files, Provider, Terminal
from tests.support.engine import HANG_S, family, open_descriptors, open_provider, settled, until

pytestmark = pytest.mark.unprivileged
_DAY_MS = 86_400_000


@pytest.fixture(scope="module")
async def provider() -> AsyncGenerator[Provider]:
    """A provider for all tests that need none of their own."""
    async with open_provider(pool_size=1, node_pool_size=0, program_pool_size=0) as opened:
        yield opened


@asynccontextmanager
async def terminal(provider: Provider, *argv: str, wall_ms: int = _DAY_MS, **env: str) -> AsyncGenerator[Terminal]:
    """A terminal in the home of alice."""
    request = TerminalRequest(argv, env, TerminalSize(80, 24), Limits(wall_ms=wall_ms, cpu_ms=_DAY_MS))
    async with provider.home("alice") as sandbox, sandbox.open_terminal(request) as opened:
        yield opened


async def shown(opened: Terminal, up_to: str | None = None) -> str:
    """What it shows, to its end or to something that is found in it."""
    seen = b""
    async with asyncio.timeout(HANG_S), aclosing(opened.output()) as pieces:
        async for piece in pieces:
            seen += piece
            if up_to is not None and re.search(up_to, seen.decode("utf-8", "replace")):
                break
    return seen.decode("utf-8", "replace")


async def shows_all(provider: Provider, code: str) -> tuple[str, TerminalEnd]:
    """What a Python program shows in a terminal, and how it ends."""
    async with terminal(provider, "python3", "-c", code) as opened:
        return await shown(opened), await opened.ended()


async def test_a_program_finds_nothing_but_its_terminal(provider: Provider) -> None:
    code = """
import os
assert os.getsid(0) == os.getpid() == os.tcgetpgrp(0)
assert [os.ttyname(fd) for fd in (0, 1, 2)] == ["/dev/pts/0"] * 3
assert set(os.listdir("/proc/self/fd")) == {"0", "1", "2", "3"}, "3 is that folder"
assert sorted(os.listdir("/dev/pts")) == ["0", "ptmx"]
status = open("/proc/self/status").read()
assert "SigBlk:\\t0000000000000000" in status
os.write(os.open("/dev/tty", os.O_RDWR), b"by its other name\\n")
print(os.environ["TERM"], os.environ["HOME"], os.getcwd())
"""
    text, end = await shows_all(provider, code)
    assert text == "by its other name\r\nxterm-256color /workspace /workspace\r\n"
    assert end == TerminalEnd(0, None, None)


async def test_the_shell_is_one_to_work_with(provider: Provider) -> None:
    async with terminal(provider, "sh", "-c", "echo \"alias greet='echo hello'\" > .bashrc") as opened:
        await shown(opened)
    async with terminal(provider) as opened:
        await opened.write("greet; ü\x7fecho \\'wide ☃\\'; exit 4\n".encode())
        text = await shown(opened)
        assert "\x1b[1;34m" in text, "a prompt with colours"
        assert "hello\r\n" in text, "the file that bash reads when it starts"
        assert "\n'wide ☃'\r\n" in text
        assert await opened.ended() == TerminalEnd(4, None, None)
    async with terminal(provider, "cat") as opened:
        await opened.write("aü\x7f\x7f☃\x7fb\n".encode())
        assert (await shown(opened, r"b\r\n.*\r\n")).endswith("b\r\nb\r\n"), "one key takes a whole character away"


async def test_a_command_that_is_not_there_says_so(provider: Provider) -> None:
    async with terminal(provider, "no-such-program") as opened:
        assert "no-such-program" in await shown(opened)
        assert (await opened.ended()).exit_code == 127


async def test_all_that_was_shown_comes_however_late_it_is_taken(provider: Provider) -> None:
    async with terminal(provider, "python3", "-c", "import os; os.write(1, b'x' * 6000); os.write(1, b'last')") as opened:
        await asyncio.wait_for(opened.ended(), HANG_S)
        assert await shown(opened) == "x" * 6000 + "last"


async def test_a_program_is_held_while_nobody_takes_what_it_shows(provider: Provider) -> None:
    code = "import os; os.close(os.open('count', 577))\nfor n in range(1000): os.write(1, b'x' * 1024); os.truncate('count', n)"
    async with provider.home("alice") as home, terminal(provider, "python3", "-c", code) as opened:

        async def count() -> int:
            return len(await home.files.read("count", max_bytes=4096)) if await _is_there(home.files, "count") else 0

        async with asyncio.timeout(HANG_S):
            while (seen := await count()) == 0 or not await _stays(count, seen):
                pass
        assert seen < 200, "what fits between the two"
        assert await shown(opened) == "x" * 1024_000
        assert await count() == 999


async def test_typing_waits_for_a_program_that_reads_and_ends_with_it(provider: Provider) -> None:
    code = "import os, time, tty; tty.setraw(0); print('up', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nos.unlink('go')"
    async with provider.home("alice") as home, terminal(provider, "python3", "-c", code) as opened:
        await shown(opened, "up")
        typing = asyncio.ensure_future(opened.write(b"y" * (1 << 20)))
        done, _ = await asyncio.wait([typing], timeout=0.3)
        assert not done
        await home.files.write("go", b"")
        with pytest.raises(Conflict, match="has ended"):
            await asyncio.wait_for(typing, HANG_S)
        assert (await opened.ended()).exit_code == 0


async def test_a_terminal_that_is_closed_while_somebody_types_is_watched_no_more(provider: Provider) -> None:
    """A descriptor's number is used again at once: who watched the old one would be told of the new one, or keep it from being watched."""
    for _ in range(3):
        async with terminal(provider, "sh", "-c", "stty raw; echo up; sleep 1000") as opened:
            await shown(opened, "up")
            typing = asyncio.ensure_future(opened.write(b"y" * (1 << 20)))
            await asyncio.wait([typing], timeout=0.05)
            assert not typing.done()
        with pytest.raises(Conflict, match="has ended"):
            await asyncio.wait_for(typing, HANG_S)
        async with terminal(provider, "cat") as opened:
            await opened.write(b"echo\n")
            assert await shown(opened, r"echo\r\necho\r\n")


async def test_how_it_ended_is_told(provider: Provider) -> None:
    async with terminal(provider, "sh", "-c", "kill -9 $$") as opened:
        await shown(opened)
        assert await opened.ended() == TerminalEnd(None, "SIGKILL", None), "the server had no part in it"
    async with terminal(provider, "sleep", "1000", wall_ms=1000) as opened:
        await shown(opened)
        assert await opened.ended() == TerminalEnd(None, "SIGKILL", "a terminal is closed after 1 s")
    async with terminal(provider, "sleep", "1000") as opened:
        opened.hang_up()
        await shown(opened)
        assert await opened.ended() == TerminalEnd(None, "SIGHUP", None)


@pytest.mark.parametrize(
    "deed",
    [
        "tcflow(0, termios.TCOOFF)",
        "tcsetattr(0, termios.TCSANOW, [0, 0, 0, 0, 0, 0, [b'\\0'] * 32])",
        "ioctl(0, 0x540E)",
        "signal.signal(1, signal.SIG_IGN); ioctl(0, 0x5422)",
        "ioctl(0, 0x5420, struct.pack('i', 1))",
        "ioctl(0, 0x5413 + 1, struct.pack('HHHH', 65535, 65535, 65535, 65535))",
        "ioctl(0, termios.TIOCEXCL)",
        "close(0); os.close(1); os.close(2)",
        "setsid()",
    ],
    ids=["stopped", "all off", "takes it again", "lets go", "packets", "sizes", "exclusive", "closed", "its child leaves"],
)
async def test_what_a_program_does_to_its_terminal_harms_nobody(provider: Provider, deed: str) -> None:
    code = f"""
import os, signal, struct, termios, time
from fcntl import ioctl
from os import close
from termios import tcflow, tcsetattr
def setsid():
    if os.fork() == 0:
        os.setsid()
        os.open("/dev/pts/0", os.O_RDWR)
        time.sleep(1000)
print("up", flush=True)
os.read(0, 1)
try:
    {deed}
except OSError:
    pass
open("done", "w")
time.sleep(1000)
"""
    async with provider.home("alice") as home, terminal(provider, "python3", "-c", code) as opened:
        text = await shown(opened, "up")
        assert text.startswith("up")
        await opened.write(b"\n")
        async with asyncio.timeout(HANG_S):
            while not await _is_there(home.files, "done"):
                pass
        opened.resize(TerminalSize(1000, 1))
        typing = asyncio.ensure_future(opened.write(b"z" * 100))
        done, _ = await asyncio.wait([typing], timeout=HANG_S)
        assert done, "a hundred keys fit in any case"
        typing.result()
        opened.hang_up()
        await asyncio.wait_for(opened.ended(), HANG_S)
        await home.files.remove("done")


async def _is_there(files: Files, path: str) -> bool:
    return any(entry.path == path for entry in await files.list(""))


async def _stays(look: Callable[[], Awaitable[int]], seen: int) -> bool:
    """Whether what is seen stays the same for some time."""
    for _ in range(10):
        await asyncio.sleep(0.02)
        if await look() != seen:
            return False
    return True


async def test_a_terminal_whose_session_was_taken_over_goes_on(provider: Provider) -> None:
    """A leader may give its terminal up, and another session's leader take it; when that one ends, the kernel hangs up on all who have it open."""
    code = """
import fcntl, os, signal, termios
signal.signal(signal.SIGHUP, signal.SIG_IGN)
fcntl.ioctl(0, termios.TIOCNOTTY)
if os.fork() == 0:
    os.setsid()
    os.open("/dev/pts/0", os.O_RDWR)
    os._exit(0)
os.wait()
again = os.open("/dev/pts/0", os.O_RDWR | os.O_NOCTTY)
os.write(again, b"ready\\n")
os.write(again, b"got " + os.read(again, 100))
"""
    before = sum(os.times()[:2])
    async with terminal(provider, "python3", "-c", code) as opened:
        pieces = opened.output()
        seen = ""
        async with asyncio.timeout(HANG_S), aclosing(pieces):
            async for piece in pieces:
                seen += piece.decode()
                if seen == "ready\r\n":
                    await asyncio.wait([asyncio.ensure_future(opened.ended())], timeout=0.5)
                    await opened.write(b"a line\n")
        assert seen.endswith("got a line\r\n")
        assert await opened.ended() == TerminalEnd(0, None, None)
    assert sum(os.times()[:2]) - before < 0.4, "nobody waited busily"


async def test_nothing_is_left_of_a_terminal(provider: Provider) -> None:
    async with terminal(provider, "true") as opened:
        await shown(opened)
    before = await settled(lambda: (len(open_descriptors()), len(family())))
    terminals = _ptys()
    for _ in range(10):
        async with terminal(provider, "bash", "--norc", "-i") as opened:
            await opened.write(b"(trap '' HUP TERM; sleep 1000) & setsid sleep 1000 & disown -a; python3 -c 'import pty; pty.fork()' & echo u''p\n")
            await shown(opened, "up")
            assert _ptys() >= terminals + 1
    assert await until(lambda: (len(open_descriptors()), len(family())) == before), (open_descriptors(), family())
    assert await until(lambda: _ptys() == terminals)


def _ptys() -> int:
    return int(Path("/proc/sys/kernel/pty/nr").read_text())


async def test_a_program_that_hears_no_signal_is_killed(provider: Provider) -> None:
    code = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; print('up', flush=True); time.sleep(1000)"
    async with terminal(provider, "python3", "-c", code) as opened:
        await shown(opened, "up")
        opened.hang_up()
        end = await asyncio.wait_for(opened.ended(), HANG_S)
        assert end.signal == signal.SIGKILL.name


@pytest.mark.parametrize("typed", [b"a", b"ab"])
async def test_typing_into_one_that_is_being_taken_down_says_that_it_has_ended(provider: Provider, typed: bytes) -> None:
    async with terminal(provider, "cat") as opened:
        pass
    with pytest.raises(Conflict, match="ended"):
        await opened.write(typed)
