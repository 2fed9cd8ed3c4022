"""Whose run begins next: by turns of owners, whoever asked more."""

from __future__ import annotations

import asyncio

import pytest

from sandql.core.errors import ResourceError
from sandql.core.load import WAIT_S
from sandql.sandboxes.turns import Turn, Turns

_MOST = 4  # of one core


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def _begun(turns: Turns, order: list[str], owner: str) -> Turn:
    turn = await turns.take(owner)
    order.append(owner)
    return turn


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_owner_alone_has_all_turns_and_more_wait() -> None:
    clock = _Clock()
    turns, order = Turns(100, cores=1, clock=clock), list[str]()
    tasks = [asyncio.create_task(_begun(turns, order, "a")) for _ in range(_MOST + 2)]
    await _settled()
    assert (len(order), turns.queued) == (_MOST, 2)
    clock.now += 2
    tasks[0].result().give_back()
    tasks[0].result().give_back()  # counts once
    await _settled()
    assert (len(order), turns.queued) == (_MOST + 1, 1)
    for task in tasks[1:]:
        (await task).give_back()
    assert turns.queued == 0
    assert (turns.waits.counts[0], turns.waits.counts[WAIT_S.index(2.5)], turns.waits.total_s) == (_MOST, 2, 4)


async def test_who_comes_later_does_not_wait_for_a_flood_that_waits() -> None:
    turns, order = Turns(1000, cores=1, clock=_Clock()), list[str]()
    flood = [asyncio.create_task(_begun(turns, order, "flood")) for _ in range(300)]
    await _settled()
    order.clear()
    quiet = asyncio.create_task(_begun(turns, order, "quiet"))
    await _settled()
    assert order == []  # every place is taken
    flood[0].result().give_back()
    await _settled()
    assert order == ["quiet"]
    for number in range(1, _MOST):  # the flood is held to its share while another is about
        flood[number].result().give_back()
    await _settled()
    assert order == ["quiet", "flood"]
    quiet.result().give_back()
    again = asyncio.create_task(_begun(turns, order, "quiet"))
    await _settled()
    assert order == ["quiet", "flood", "quiet"]
    for task in [*flood, again]:
        task.cancel()


async def test_owners_who_wait_begin_by_turns() -> None:
    turns, order = Turns(1000, cores=1, clock=_Clock()), list[str]()
    held = [await turns.take(f"first{number}") for number in range(_MOST)]
    tasks = [asyncio.create_task(_begun(turns, order, owner)) for owner in ["a"] * 4 + ["b"] * 2 + ["c"]]
    await _settled()
    for turn in held:
        turn.give_back()
    for _ in range(10):
        await _settled()
        for task in tasks:
            if task.done():
                task.result().give_back()
    assert order == ["a", "b", "c", "a", "b", "a", "a"]


async def test_after_a_while_without_another_an_owner_has_the_machine_again() -> None:
    clock = _Clock()
    turns, order = Turns(1000, cores=1, clock=clock), list[str]()
    (await turns.take("quiet")).give_back()
    tasks = [asyncio.create_task(_begun(turns, order, "flood")) for _ in range(_MOST + 1)]
    await _settled()
    assert len(order) == 1
    clock.now += 10  # who asks seldom is still about
    tasks[0].result().give_back()
    await _settled()
    assert len(order) == 2
    clock.now += 31
    tasks[1].result().give_back()
    await _settled()
    assert len(order) == _MOST + 1


async def test_a_run_that_goes_on_lets_the_next_begin() -> None:
    turns = Turns(10, cores=1)
    held = [await turns.take("a") for _ in range(_MOST)]
    async with asyncio.timeout(5):
        last = await turns.take("a")  # nobody gave anything back
    for turn in [*held, last]:
        turn.give_back()


async def test_the_queue_is_bounded_and_an_owner_fills_half_of_it_at_most() -> None:
    turns, order = Turns(10, cores=1, clock=_Clock()), list[str]()
    held = [await turns.take("a") for _ in range(_MOST)]
    tasks = [asyncio.create_task(_begun(turns, order, "a")) for _ in range(5)]
    await _settled()
    with pytest.raises(ResourceError, match="of which 5 are yours"):
        await turns.take("a")
    tasks += [asyncio.create_task(_begun(turns, order, owner)) for owner in "bcdef"]
    await _settled()
    with pytest.raises(ResourceError) as full:
        await turns.take("g")
    assert full.value.retry_after_s == 1
    for task in tasks:
        task.cancel()
    await _settled()
    assert turns.queued == 0
    for turn in held:
        turn.give_back()


async def test_who_leaves_the_moment_it_is_its_turn_gives_it_back() -> None:
    turns = Turns(10, cores=1, clock=_Clock())
    held = [await turns.take("a") for _ in range(_MOST)]
    waiting = asyncio.create_task(turns.take("a"))
    await _settled()
    held.pop().give_back()  # its turn, of which it does not know yet
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    held.append(await turns.take("a"))
    for turn in held:
        turn.give_back()


async def test_who_has_left_is_passed_over() -> None:
    turns = Turns(10, cores=1, clock=_Clock())
    held = [await turns.take("a") for _ in range(_MOST)]
    gone, stays = asyncio.create_task(turns.take("a")), asyncio.create_task(turns.take("a"))
    await _settled()
    gone.cancel()
    held.pop().give_back()  # before the one that was cancelled has had time to leave
    held.append(await stays)
    assert turns.queued == 0
    for turn in held:
        turn.give_back()
