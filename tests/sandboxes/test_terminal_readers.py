"""Those who are attached to a terminal: slow ones, many at once, and those who come back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from sandql.core.errors import NotFound
from sandql.core.terminals import Closed, Screen
from sandql.resolvers import sandboxes, terminals
from sandql.resolvers.operations import CreateSandbox, CreateTerminal
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.scrollback import Scrollback
from tests.support.engine import HANG_S, settled, until
from tests.support.house import ALICE, BOB, open_house

pytestmark = pytest.mark.unprivileged
_ENDLESS = ("sh", "-c", "echo begun; read go; exec yes '0123456789 a line without an end'")


@pytest.fixture(scope="module")
async def house() -> AsyncGenerator[Sandboxes]:
    """A house that keeps little of what a terminal shows."""
    async with open_house(terminal_kept_bytes=128 << 10) as opened:
        yield opened


async def opened(house: Sandboxes, *command: str, sandbox_id: str | None = None) -> str:
    return (await terminals.create_terminal(house, ALICE, CreateTerminal(command=command, sandbox_id=sandbox_id))).id


async def all_of(house: Sandboxes, id_: str, after: int | None = None, *, every: int = 0) -> tuple[bytes, list[Screen | Closed]]:
    """What a reader gets up to the end, who takes a nap after each `every` pieces."""
    seen: list[Screen | Closed] = []
    async with asyncio.timeout(HANG_S), aclosing(terminals.watch_terminal(house, ALICE, id_, after)) as pieces:
        async for piece in pieces:
            seen.append(piece)
            if every and len(seen) % every == 0:
                await asyncio.sleep(0.01)
    return b"".join(piece.data for piece in seen if isinstance(piece, Screen)), seen


class Count:
    """Who is attached and counts what it gets."""

    taken = 0

    async def follow(self, house: Sandboxes, id_: str) -> None:
        async with aclosing(terminals.watch_terminal(house, ALICE, id_, None)) as pieces:
            async for piece in pieces:
                self.taken = piece.offset


async def test_two_at_once_see_the_same_and_neither_loses_a_byte(house: Sandboxes) -> None:
    id_ = await opened(house, "sh", "-c", "read go; seq 200000; exit 3")
    readers = [asyncio.ensure_future(all_of(house, id_, every=every)) for every in (0, 7)]
    await terminals.type_into(house, ALICE, id_, "go\n", "UTF8")
    whole = b"go\r\n" + b"".join(b"%d\r\n" % number for number in range(1, 200_001))
    for data, seen in await asyncio.gather(*readers):
        assert data == whole
        assert isinstance(seen[-1], Closed)
        assert (seen[-1].offset, seen[-1].end.exit_code) == (len(whole), 3)
        assert not any(piece.truncated for piece in seen if isinstance(piece, Screen))


async def test_one_who_takes_nothing_holds_the_program_and_not_its_end(house: Sandboxes) -> None:
    """A reader that is stuck must not keep a terminal from being closed, nor its sandbox from being destroyed."""
    made = await sandboxes.create_sandbox(house, ALICE, CreateSandbox())
    for end in ("close", "destroy"):
        id_ = await opened(house, *_ENDLESS, sandbox_id=made.id)
        stuck = terminals.watch_terminal(house, ALICE, id_, None)
        first = await anext(stuck)
        assert isinstance(first, Screen)
        await terminals.type_into(house, ALICE, id_, "\n", "UTF8")
        other = Count()
        watching = asyncio.ensure_future(other.follow(house, id_))
        assert await settled(lambda other=other: other.taken) > 64_000
        async with asyncio.timeout(HANG_S / 2):
            if end == "close":
                await terminals.close_terminal(house, ALICE, id_)
            else:
                await sandboxes.destroy_sandbox(house, ALICE, made.id)
        assert await until(lambda id_=id_: house.durable.terminals.find(ALICE, id_).end is not None)
        seen, last = first.data, 0
        async for piece in stuck:
            assert piece.offset >= last
            last = piece.offset
            if isinstance(piece, Screen):
                seen += piece.data
                assert piece.offset == len(seen), "it lost nothing, either"
        assert seen.startswith(b"begun\r\n")
        assert 64_000 < len(seen) < 300_000, "the program was held"
        await watching
        assert other.taken == len(seen)


async def test_one_who_takes_nothing_is_left_when_others_wait_and_told_when_it_comes_back(house: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandql.sandboxes.terminals._STALLED_S", 2.0)
    count = 200_000
    id_ = await opened(house, "sh", "-c", f"echo begun; read go; seq {count}; exit 3")
    whole = b"begun\r\n\r\n" + b"".join(b"%d\r\n" % number for number in range(1, count + 1))
    stuck, slow = (terminals.watch_terminal(house, ALICE, id_, None) for _ in range(2))
    for reader in (stuck, slow):
        assert isinstance(await anext(reader), Screen)
    await terminals.type_into(house, ALICE, id_, "\n", "UTF8")
    other = asyncio.ensure_future(all_of(house, id_, every=50))
    taken = 0
    async with asyncio.timeout(HANG_S), aclosing(slow):
        async for piece in slow:  # who takes something is waited for, however slow
            assert not isinstance(piece, Screen) or not piece.truncated
            taken = piece.offset
            await asyncio.sleep(0.1)
    assert taken == len(whole)
    data, seen = await other
    assert data == whole
    assert isinstance(seen[-1], Closed)
    rest = [piece async for piece in stuck]
    assert isinstance(rest[0], Screen)
    assert rest[0].truncated
    data = b"".join(piece.data for piece in rest if isinstance(piece, Screen))
    assert whole.endswith(b"\r\n" + data), "it goes on with a line"
    assert len(data) > 127 << 10
    assert rest[-1] == seen[-1]


async def test_who_left_goes_on_at_any_byte(house: Sandboxes) -> None:
    """Also in the middle of a character, where a client that counts bytes may be."""
    text = "".join(random.Random(4).choices("aü☃𝄞\n", k=9000))
    id_ = await opened(house, "sh", "-c", f"stty -onlcr; printf %s '{text}'")
    whole, seen = await all_of(house, id_)
    assert whole.decode() == text
    for piece in seen:
        if isinstance(piece, Screen):
            piece.data.decode()  # whole characters only
    for after in (0, 1, len(whole) // 2, len(whole) // 2 + 1, len(whole) - 1, len(whole), len(whole) + 5):
        rest, seen = await all_of(house, id_, after)
        assert rest == whole[after:]
        assert isinstance(seen[-1], Closed)
        assert seen[-1].offset == len(whole)


async def test_what_is_not_kept_is_said_and_what_is_begins_with_a_line(house: Sandboxes) -> None:
    id_ = await opened(house, "sh", "-c", "seq -f 'line %.0f ☃' 20000")
    assert await until(lambda: house.durable.terminals.find(ALICE, id_).end is not None)
    whole = b"".join(f"line {number} ☃\r\n".encode() for number in range(1, 20_001))
    for after in (None, 0, 100):
        data, seen = await all_of(house, id_, after)
        assert [piece.truncated for piece in seen if isinstance(piece, Screen)][:2] == [True, False]
        assert data.startswith(b"line ")
        assert whole.endswith(data)
        assert len(data) > 127 << 10


async def test_bytes_that_are_no_text_come_as_they_are_and_a_cut_character_at_the_end_too(house: Sandboxes) -> None:
    id_ = await opened(house, "python3", "-c", "import os; os.write(1, bytes(range(128, 256)) + b'\\xe2\\x98')")
    data, _ = await all_of(house, id_)
    assert data == bytes(range(128, 256)) + b"\xe2\x98"


async def test_a_program_that_shows_a_byte_at_a_time_costs_little(house: Sandboxes) -> None:
    id_ = await opened(house, "python3", "-c", "import os, time\nfor n in range(3000):\n os.write(1, b'x'); time.sleep(0.0005)")
    data, seen = await all_of(house, id_)
    assert data == b"x" * 3000
    assert len(seen) < 600


async def test_what_has_ended_is_known_but_not_all_of_it() -> None:
    async with open_house(max_terminals=2) as house:
        first = await opened(house, "sh", "-c", "read line; exit 5")
        for _ in range(5):
            assert (await all_of(house, await opened(house, "true")))[0] == b""
        await terminals.type_into(house, ALICE, first, "\n", "UTF8")
        assert await until(lambda: house.durable.terminals.find(ALICE, first).end is not None)
        assert await until(lambda: len(house.durable.terminals.list(ALICE, None)) == 2)
        known = await terminals.list_terminals(house, ALICE, None)
        assert known[0].id == first, "the oldest, but the last that ended"
        assert (await all_of(house, first))[1][-1] == Closed(2, known[0].end)  # pyright: ignore[reportArgumentType]
    async with open_house(terminal_retention_s=0) as house:
        id_ = await opened(house, "true")
        assert await until(lambda: not house.durable.terminals.list(ALICE, None))
        with pytest.raises(NotFound):
            await terminals.find_terminal(house, ALICE, id_)


async def test_the_end_of_the_house_is_told_to_those_who_are_attached() -> None:
    async with open_house() as house:
        id_ = await opened(house, "sleep", "1000")
        watching = asyncio.ensure_future(all_of(house, id_))
        await terminals.type_into(house, ALICE, id_, "x", "UTF8")
    _, seen = await asyncio.wait_for(watching, HANG_S)
    last = seen[-1]
    assert isinstance(last, Closed)
    assert last.end.reason == "the server is ending"


async def test_starts_with_one_key_at_one_time_open_one(house: Sandboxes) -> None:
    same = CreateTerminal(command=("cat",))
    infos = await asyncio.gather(*(terminals.create_terminal(house, ALICE, same, "a key") for _ in range(5)))
    assert len({info.id for info in infos}) == 1
    assert await terminals.list_terminals(house, BOB, None) == []
    await terminals.close_terminal(house, ALICE, infos[0].id)


def test_a_scrollback_keeps_the_last_bytes_with_their_positions() -> None:
    chance = random.Random(7)
    screen, whole = Scrollback(100), b""
    for _ in range(500):
        piece = chance.randbytes(chance.choice((0, 1, 7, 99, 100, 101, 300)))
        screen.append(piece)
        whole += piece
        assert (screen.end, screen.begin) == (len(whole), max(0, len(whole) - 100))
        at = chance.randint(screen.begin, screen.end)
        assert screen.read(at, 30) == whole[at : at + 30]
