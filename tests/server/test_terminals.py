"""Terminals through a real server, over WebSocket, as a page has them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import string
import subprocess
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.load.session import Data, Lost, Refused, Session, open_session
from tests.support.engine import descendants, open_descriptors, settled, until
from tests.support.server import Server, running_server

OPEN = """mutation ($command: [String!], $env: [EnvironmentVariable!], $cols: Int! = 80, $rows: Int! = 24) {
  createTerminal(command: $command, env: $env, cols: $cols, rows: $rows) { id sandboxId cols rows ended exitCode signal reason } }"""
TYPE = "mutation ($id: ID!, $data: String!) { terminalInput(id: $id, data: $data) }"
RESIZE = "mutation ($id: ID!, $cols: Int!, $rows: Int!) { resizeTerminal(id: $id, cols: $cols, rows: $rows) { cols rows } }"
CLOSE = "mutation ($id: ID!) { closeTerminal(id: $id) }"
LOOK = "query ($id: ID!) { terminal(id: $id) { ended exitCode signal reason } terminals { id } }"
WATCH = """subscription ($id: ID!, $after: ByteCount) { terminalOutput(id: $id, after: $after) {
  ... on TerminalOutput { offset data truncated } ... on TerminalEnded { offset exitCode signal reason } } }"""
_FLOOD_BYTES = 256 << 20
_LINE = b"0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with the engine, for this file."""
    with running_server(pool_size=2, node_pool_size=0, program_pool_size=0) as running:
        yield running


@pytest.fixture
async def page(server: Server) -> AsyncGenerator[Session]:
    """A connection."""
    async with open_session(server.ws_url) as session:
        yield session


class Screen:
    """What a page shows of a terminal."""

    def __init__(self, session: Session, id_: str, after: int | None = None) -> None:
        self.text = ""
        self.offset = after or 0
        self.end: Data | None = None
        self._changed = asyncio.Event()
        self._watching = asyncio.ensure_future(self._watch(session, id_, after))

    async def _watch(self, session: Session, id_: str, after: int | None) -> None:
        try:
            async with aclosing(session.watch(WATCH, id=id_, after=after)) as results:
                async for result in results:
                    event = result["terminalOutput"]
                    assert event["offset"] >= self.offset
                    self.offset = event["offset"]
                    self.text += event.get("data", "")
                    self.end = event if "data" not in event else None
                    self._changed.set()
        except Lost:
            pass

    async def shows(self, text: str, *, behind: str = "") -> None:
        """Wait until it does, behind the last place of another text."""
        try:
            async with asyncio.timeout(20):
                while text not in self.text.rpartition(behind or "\0")[2]:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} is not in {self.text[-2000:]!r}") from None

    async def is_lost(self) -> None:
        """Wait until it hears no more."""
        await asyncio.wait_for(self._watching, 20)
        assert self.end is None

    async def ends(self) -> Data:
        """How it ended."""
        await asyncio.wait_for(self._watching, 20)
        assert self.end is not None
        return self.end


@asynccontextmanager
async def terminal(page: Session, *command: str, **asked: Any) -> AsyncGenerator[tuple[str, Screen]]:
    """A terminal that is looked at, and closed on every way out."""
    env = [{"name": "PS1", "value": "> "}]
    made = (await page.call(OPEN, command=command or ("bash", "--norc", "-i"), env=env, **asked))["createTerminal"]
    assert (made["sandboxId"], made["ended"]) == ("home", False)
    screen = Screen(page, made["id"])
    yield made["id"], screen
    await page.call(CLOSE, id=made["id"])
    await screen.ends()


async def test_keys_that_are_typed_faster_than_they_are_answered_keep_their_order(page: Session) -> None:
    keys = (string.ascii_letters + string.digits) * 30
    async with terminal(page, "sh", "-c", f"stty raw -echo; echo ready; head -c {len(keys)} | sha256sum; echo done") as (id_, screen):
        await screen.shows("ready")
        for at in range(0, len(keys), 50):
            await asyncio.gather(*(page.call(TYPE, id=id_, data=key) for key in keys[at : at + 50]))
        await screen.shows("done")
        assert hashlib.sha256(keys.encode()).hexdigest() in screen.text


async def test_each_key_is_echoed_before_the_next_one_is_typed(page: Session) -> None:
    async with terminal(page) as (id_, screen):
        await screen.shows("> ")
        for key in string.ascii_lowercase * 2:
            shown = screen.offset
            await page.call(TYPE, id=id_, data=key)
            assert await until(lambda shown=shown: screen.offset > shown)
        assert string.ascii_lowercase * 2 in screen.text


async def test_a_flood_loses_nothing_and_takes_no_memory_however_slow_its_reader(server: Server, page: Session) -> None:
    lines = _FLOOD_BYTES // (len(_LINE) + 1)
    code = f"import sys\nfor _ in range({lines} // 64): sys.stdout.buffer.write({_LINE!r} * 64)"
    made = await page.call(OPEN, command=("python3", "-c", code))
    before = _memory_kib(server)
    seen, count, pieces = hashlib.sha256(), 0, 0
    async with connect(server.ws_url, subprotocols=[Subprotocol("graphql-transport-ws")], max_size=None, max_queue=2) as socket:
        await socket.send('{"type": "connection_init"}')
        payload = {"query": WATCH, "variables": {"id": made["createTerminal"]["id"]}}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "complete":
                break
            if message["type"] == "next":
                event = message["payload"]["data"]["terminalOutput"]
                data = event.get("data", "").encode()
                seen.update(data)
                count += len(data)
                assert event["offset"] == count
                assert not event.get("truncated")
                pieces += 1
                if pieces % 200 == 0:
                    await asyncio.sleep(0.05)
    wanted = hashlib.sha256()
    for _ in range(lines // 64):
        wanted.update(_LINE.replace(b"\n", b"\r\n") * 64)
    assert count == lines // 64 * 64 * (len(_LINE) + 1)
    assert seen.digest() == wanted.digest()
    assert _memory_kib(server) - before < 8 << 10


async def test_a_paste_of_a_mebibyte_arrives_whole(page: Session) -> None:
    paste = (string.printable[:94] + "ü☃") * 10_600
    paste = paste.encode()[: (1 << 20) - 3].decode("utf-8", "ignore")
    size = len(paste.encode())
    async with terminal(page, "sh", "-c", f"stty raw -echo; echo ready; head -c {size} | sha256sum; echo done") as (id_, screen):
        await screen.shows("ready")
        assert await page.call(TYPE, id=id_, data=paste) == {"terminalInput": True}
        await screen.shows("done")
        assert hashlib.sha256(paste.encode()).hexdigest() in screen.text


async def test_a_page_that_lost_its_connection_goes_on_where_it_was(server: Server, page: Session) -> None:
    async with terminal(page) as (id_, whole):
        async with open_session(server.ws_url) as other:
            screen = Screen(other, id_)
            await page.call(TYPE, id=id_, data="for n in $(seq 5000); do echo line $n; test $n = 1000 && read go; done\n")
            await screen.shows("line 1000\r\n")
            other.drop()
            await screen.is_lost()
        await page.call(TYPE, id=id_, data="\n")
        await whole.shows("line 5000\r\n")
        again = Screen(page, id_, screen.offset)
        await again.shows("line 5000\r\n")
        assert whole.text.startswith(screen.text + again.text)


async def test_a_screen_that_was_full_comes_back(server: Server, page: Session) -> None:
    """A full-screen program goes on while nobody looks; who comes back sees it, and it follows the size of the new window."""
    made = (await page.call(OPEN, command=("top", "-d", "0.5")))["createTerminal"]
    for cols, rows in ((100, 30), (60, 20)):
        async with open_session(server.ws_url) as other:
            await other.call(RESIZE, id=made["id"], cols=cols, rows=rows)
            screen = Screen(other, made["id"])
            await screen.shows("load average")
            await screen.shows("PID")
            other.drop()
    await page.call(TYPE, id=made["id"], data="q")
    assert (await Screen(page, made["id"]).ends())["exitCode"] == 0


def _has(program: str) -> bool:
    return subprocess.run(["which", program], capture_output=True, check=False).returncode == 0


async def test_editors_and_pagers_work(page: Session) -> None:
    async with terminal(page, cols=90, rows=25) as (id_, screen):

        async def keys(data: str) -> None:
            await page.call(TYPE, id=id_, data=data)

        await screen.shows("> ")
        if _has("vi"):
            await keys("vi -u NONE -n notes.txt\n")
            await screen.shows("notes.txt")
            await keys("isnow ☃ and ü\x1b:wq\r")
            await screen.shows("\x1b[?1049l")
            await screen.shows("\x1b[?2004h> ", behind="\x1b[?1049l")
            await keys("cat notes.txt; wc -c notes.txt\n")
            await screen.shows("snow ☃ and ü\r\n16 notes.txt")
        if _has("less"):
            await keys("seq 1000 | less\n")
            await screen.shows("\r\n24\r\n:")
            await keys("G")
            await screen.shows("1000")
            await keys("q")
        await keys("echo and b''ack\n")
        await screen.shows("and back\r\n")


async def test_what_is_refused_is_refused_once_and_changes_nothing(page: Session) -> None:
    async with terminal(page) as (id_, screen):
        await screen.shows("> ")
        known = await page.call(LOOK, id=id_)
        refusals: list[tuple[str, dict[str, Any], str]] = [
            (OPEN, {"cols": 0}, "BAD_REQUEST"),
            (OPEN, {"rows": 1001}, "BAD_REQUEST"),
            (OPEN, {"command": []}, "BAD_REQUEST"),
            (OPEN, {"command": ["a\0"]}, "BAD_REQUEST"),
            (RESIZE, {"id": id_, "cols": 1, "rows": 0}, "BAD_REQUEST"),
            (RESIZE, {"id": "tm_" + "0" * 27, "cols": 1, "rows": 1}, "NOT_FOUND"),
            (TYPE, {"id": id_, "data": "x" * ((1 << 20) + 1)}, "PAYLOAD_TOO_LARGE"),
            (TYPE, {"id": "☃" * 500, "data": ""}, "NOT_FOUND"),
            (CLOSE, {"id": ""}, "NOT_FOUND"),
            (WATCH, {"id": "home"}, "NOT_FOUND"),
            (WATCH, {"id": id_, "after": -1}, "BAD_REQUEST"),
            (LOOK, {"id": "tm_"}, "NOT_FOUND"),
        ]
        for query, asked, code in refusals:
            with pytest.raises(Refused) as refused:
                await page.call(query, **asked)
            errors = json.loads(str(refused.value))
            assert [error["extensions"]["code"] for error in errors] == [code], (query, asked)
        assert await page.call(LOOK, id=id_) == known
        await page.call(TYPE, id=id_, data="stty size\n")
        await screen.shows("24 80\r\n")


async def test_nothing_is_left_of_terminals_that_were_closed_or_lost(server: Server, page: Session) -> None:
    async with terminal(page, "true") as (_, screen):
        await screen.ends()

    def there() -> tuple[int, int, str]:
        pid = server.process.pid
        return len(open_descriptors(pid)), len(descendants(pid)), Path("/proc/sys/kernel/pty/nr").read_text()

    before = await settled(there)
    for _ in range(3):
        async with open_session(server.ws_url) as other:
            ids = [(await other.call(OPEN, command=("sh", "-c", "sleep 1000 & exec yes")))["createTerminal"]["id"] for _ in range(5)]
            screens = [Screen(other, id_) for id_ in ids]
            for screen in screens:
                await screen.shows("y\r\ny")
            other.drop()
        await asyncio.gather(*(page.call(CLOSE, id=id_) for id_ in ids))
        for id_ in ids:
            assert (await page.call(LOOK, id=id_))["terminal"] == {"ended": True, "exitCode": None, "signal": "SIGHUP", "reason": "closed"}
    assert await until(lambda: there() == before), (before, there())


async def test_the_end_of_the_server_ends_them() -> None:
    with running_server(pool_size=1, node_pool_size=0, program_pool_size=0) as server:
        async with open_session(server.ws_url) as session:
            mark = f"{time.time_ns()}"
            made = await session.call(OPEN, command=("sh", "-c", f"trap '' HUP TERM; echo up; sleep 1000 & while :; do sleep 1; done # {mark}"))
            screen = Screen(session, made["createTerminal"]["id"])
            await screen.shows("up")
            assert mark in _commands()
            server.process.terminate()
            await screen.is_lost()
        assert await until(lambda: server.process.poll() is not None)
        assert mark not in _commands()
        assert not [line for line in server.log if "Traceback" in line]


def _commands() -> str:
    found = ""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                found += Path(f"/proc/{entry}/cmdline").read_text(errors="replace")
            except OSError:
                continue
    return found


def _memory_kib(server: Server) -> int:
    return next(int(line.split()[1]) for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
