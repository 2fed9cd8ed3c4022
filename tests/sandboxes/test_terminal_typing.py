"""What is typed into terminals whose programs do not read it for a while, or never."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import pytest

from sandql.core.errors import Conflict, ResourceError
from sandql.core.terminals import Screen
from sandql.resolvers import files, terminals
from sandql.resolvers.operations import CreateTerminal
from sandql.sandboxes.borrow import Sandboxes
from tests.support.engine import HANG_S
from tests.support.house import ALICE, open_house

pytestmark = pytest.mark.unprivileged


@pytest.fixture(scope="module")
async def house() -> AsyncGenerator[Sandboxes]:
    """A house in which programs are given little at their start."""
    async with open_house(stdin_bytes=1000) as opened:
        yield opened


@asynccontextmanager
async def opened(house: Sandboxes, command: str) -> AsyncGenerator[str]:
    """A shell's command in a terminal, once it is ready; what is typed before would be dropped when a terminal is made raw."""
    info = await terminals.create_terminal(house, ALICE, CreateTerminal(command=("sh", "-c", command)))
    await shows(house, info.id, b"ready")
    yield info.id
    await terminals.close_terminal(house, ALICE, info.id)


async def shows(house: Sandboxes, id_: str, text: bytes) -> bytes:
    """What a terminal has shown once it has shown something. Fails when it ends without."""
    seen = b""
    async with asyncio.timeout(HANG_S), aclosing(terminals.watch_terminal(house, ALICE, id_, None)) as pieces:
        async for piece in pieces:
            seen += piece.data if isinstance(piece, Screen) else b""
            if text in seen:
                return seen
    raise AssertionError(seen[-2000:])


async def keys(house: Sandboxes, id_: str, text: str) -> None:
    await terminals.type_into(house, ALICE, id_, text, "UTF8")


async def test_what_is_not_read_in_time_is_kept_for_the_program_in_its_order(house: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandql.sandboxes.terminals._INPUT_S", 0.2)
    pastes = "".join(chr(97 + number % 26) for number in range(500_000)), "Z" * 400_000
    program = "rm -f go; stty raw -echo; echo ready; while ! test -e go; do sleep 0.05; done; head -c 900001 | sha256sum; exec cat > /dev/null"
    async with opened(house, program) as id_:
        for paste in pastes:
            with pytest.raises(ResourceError, match="do not send it again") as refused:
                await keys(house, id_, paste)
            assert refused.value.retry_after_s is None
        leaving = asyncio.ensure_future(keys(house, id_, "."))
        await asyncio.wait([leaving], timeout=0.05)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled(), "whoever sends it goes away"
        await files.write_file(house, ALICE, "go", "")
        await shows(house, id_, hashlib.sha256("".join((*pastes, ".")).encode()).hexdigest().encode())
        monkeypatch.setattr("sandql.sandboxes.terminals._INPUT_S", HANG_S)
        await keys(house, id_, "x" * 1_000_000)  # there is room again


@pytest.mark.parametrize("size", [5_000, 900_000])
async def test_an_interrupt_overtakes_a_paste_that_is_not_read(house: Sandboxes, size: int) -> None:
    """As in any terminal it drops what was typed before. Of the two one fits into the kernel, which looks at no key behind it."""
    async with opened(
        house, "trap 'echo stopped; go=1' INT; echo ready; until test $go; do sleep 0.1; done; while read line; do echo line $line; done"
    ) as id_:
        pasting = asyncio.ensure_future(keys(house, id_, "0123456789abcdef 0123456789abcdef\n" * (size // 34)))
        await shows(house, id_, b"0123456789abcdef 0123456789abcdef\r\n" * 100)  # as far as the kernel looks
        assert pasting.done() == (size < 10_000)
        await keys(house, id_, "\x03")
        await asyncio.wait_for(pasting, HANG_S)
        await keys(house, id_, "typed later\n")
        seen = await shows(house, id_, b"line typed later\r\n")
        assert b"stopped" in seen
        assert b"line 0123456789abcdef" not in seen, "the paste was not taken for answers"


async def test_a_program_that_takes_keys_as_they_are_takes_ctrl_c_in_its_order(house: Sandboxes) -> None:
    async with opened(
        house, "rm -f go; stty raw -echo; echo ready; while ! test -e go; do sleep 0.05; done; head -c 50003 | tail -c 3 | od -An -tx1"
    ) as id_:
        pasting = asyncio.ensure_future(keys(house, id_, "y" * 50_000))
        await asyncio.wait([pasting], timeout=0.2)
        rest = [asyncio.ensure_future(keys(house, id_, key)) for key in "\x03\x1c\x1a"]
        await asyncio.wait(rest, timeout=0.2)
        await files.write_file(house, ALICE, "go", "")
        await shows(house, id_, b" 03 1c 1a")


async def test_a_program_that_does_not_read_is_typed_to_no_more_than_may_wait(house: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandql.sandboxes.terminals._INPUT_S", 0.2)
    async with opened(house, "stty raw -echo; echo ready; exec sleep 1000") as id_:
        with pytest.raises(ResourceError, match="has not read all of it"):
            await keys(house, id_, "x" * 900_000)
        with pytest.raises(Conflict, match="900000 do"):
            await keys(house, id_, "y" * 200_000)
        monkeypatch.setattr("sandql.sandboxes.terminals._INPUT_S", HANG_S)
        waiting = asyncio.ensure_future(keys(house, id_, "z"))
        await asyncio.wait([waiting], timeout=0.05)
        await terminals.close_terminal(house, ALICE, id_)
        with pytest.raises(Conflict, match="has ended"):
            await asyncio.wait_for(waiting, HANG_S / 2)
        with pytest.raises(Conflict, match="has ended"):
            await keys(house, id_, "z")
