"""Rates counted in a real Redis: by several servers together, and by each alone while it does not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from sandql.access.access import Access
from sandql.access.plans import read_plans
from sandql.access.rate_limits import RateLimits
from sandql.access.redis_windows import ANSWER_S, RedisWindows
from sandql.access.sliding_windows import SlidingWindows
from sandql.core.errors import RateLimited
from sandql.core.permissions import Act, Kind
from sandql.core.settings import SettingsError
from sandql.core.values import Caller
from tests.support.redis import free_port, running_redis

_PATIENT_S = 10.0  # where it is not the time that is tested
_RUN = Act("execute", "executeCode", Kind.EXECUTE, None)


@pytest.fixture(scope="module")
def url() -> Generator[str]:
    """A Redis for all tests of this file."""
    with running_redis() as found:
        yield found


@pytest.fixture
async def windows(url: str) -> AsyncGenerator[RedisWindows]:
    """Windows in an empty Redis."""
    made = RedisWindows(url, _PATIENT_S)
    redis = Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]  (its options are untyped)
    await redis.delete("a")
    await redis.aclose()
    yield made
    await made.aclose()


async def test_it_counts_as_memory_does(windows: RedisWindows) -> None:
    memory = SlidingWindows(5, 900, 10)
    for number in range(8):
        found, expected = await windows.hit("a", 5, 900), memory.hit("a")
        assert found is not None
        assert (found.admitted, found.remaining) == (expected.admitted, expected.remaining), number
        assert found.after_s == pytest.approx(expected.after_s, abs=5)  # pyright: ignore[reportUnknownMemberType]


async def test_the_window_before_counts_by_its_share_and_keys_expire(windows: RedisWindows, url: str) -> None:
    redis = Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]  (its options are untyped)
    seconds = int(time.time())
    await redis.hset("a", mapping={"since": (seconds - 70) * 1000, "before": 9, "count": 4})  # a sixth of the next minute is over
    admitted, refused = await windows.hit("a", 4, 60), await windows.hit("a", 4, 60)
    assert admitted is not None
    assert refused is not None
    assert (admitted.admitted, admitted.remaining, refused.admitted) == (True, 0, False)
    assert 0 < refused.after_s < 6
    assert 0 < await redis.pttl("a") <= 120_000
    await redis.aclose()


async def test_servers_count_together(url: str, windows: RedisWindows) -> None:
    plans = read_plans({"small": {"execute": "20/minute"}})
    other = RedisWindows(url, _PATIENT_S)
    servers = [Access(RateLimits(plans, windows)), Access(RateLimits(plans, other))]
    caller = Caller("alice:*\r\n\x00é", plan="small")
    asked = await asyncio.gather(*(servers[number % 2].admit(caller, _RUN) for number in range(100)), return_exceptions=True)
    assert sum(1 for answer in asked if answer is None) == 20
    assert sum(1 for answer in asked if isinstance(answer, RateLimited)) == 80
    await servers[0].admit(Caller("bob", plan="small"), _RUN)
    await other.aclose()


async def test_while_redis_does_not_answer_each_server_counts_alone() -> None:
    port = free_port()
    with capture_logs() as log:
        await _count_alone_and_together(port)
    assert [str(line["event"])[:20] for line in log] == ["Redis does not answe", "Redis answers again:", "Redis does not answe"]


async def _count_alone_and_together(port: int) -> None:
    now = 1000.0
    windows = RedisWindows(f"redis://127.0.0.1:{port}/0", _PATIENT_S, lambda: now)
    rates = RateLimits(read_plans({"small": {"execute": "2/minute"}}), windows)
    access, caller = Access(rates), Caller("alice", plan="small")
    for _ in range(2):
        await access.admit(caller, _RUN)
        assert rates.degraded
    with pytest.raises(RateLimited):
        await access.admit(caller, _RUN)
    with running_redis(port):
        with pytest.raises(RateLimited):
            await access.admit(caller, _RUN)  # it is asked again only after a while
        now += 2
        await access.admit(caller, _RUN)
        assert not rates.degraded
    await access.admit(Caller("bob", plan="small"), _RUN)
    assert rates.degraded
    await windows.aclose()


async def test_a_redis_that_says_nothing_is_not_waited_for() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        windows = RedisWindows(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
        began = time.monotonic()
        assert await windows.hit("a", 5, 60) is None
        assert ANSWER_S / 2 < time.monotonic() - began < 5
        began = time.monotonic()
        for _ in range(1000):
            await windows.hit("a", 5, 60)
        assert time.monotonic() - began < 1
        await windows.aclose()


async def test_a_connection_that_was_cut_and_a_redis_that_was_emptied_are_no_outage(windows: RedisWindows, url: str) -> None:
    redis = Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]  (its options are untyped)
    assert await windows.hit("a", 50, 900) is not None
    await redis.client_kill_filter(_type="normal", skipme=True)  # pyright: ignore[reportUnknownMemberType]  (its options are untyped)
    found = await windows.hit("a", 50, 900)
    assert found is not None
    assert found.remaining == 48
    await redis.script_flush()
    await redis.delete("a")
    together = await asyncio.gather(*(windows.hit("a", 50, 900) for _ in range(60)))
    assert sum(1 for spent in together if spent is not None and spent.admitted) == 50
    assert windows.available
    await redis.aclose()


async def test_a_caller_who_goes_takes_no_answer_of_another(windows: RedisWindows) -> None:
    for _ in range(20):
        gone = [asyncio.ensure_future(windows.hit("a", 1000, 900)) for _ in range(5)]
        await asyncio.sleep(0)
        for task in gone[::2]:
            task.cancel()
        stay = await asyncio.gather(windows.hit("a", 1000, 900), windows.hit("b", 100, 900))
        assert all(stay)
        await asyncio.gather(*gone, return_exceptions=True)
    spent = await windows.hit("a", 1000, 900)
    assert spent is not None
    assert spent.remaining == 1000 - 20 * 6 - 1
    assert windows.available


async def test_an_answer_that_is_late_is_nobodys(url: str) -> None:
    now = 0.0
    windows = RedisWindows(url, ANSWER_S, lambda: now)
    redis = Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]  (its options are untyped)
    assert await windows.hit("a", 10, 60) is not None
    await redis.client_pause(3 * int(ANSWER_S * 1000))  # pyright: ignore[reportUnknownMemberType]  (its options are untyped)
    assert await windows.hit("a", 10, 60) is None
    await redis.incr("when the pause is over")
    now += 2
    spent = await windows.hit("late", 100, 60)
    assert spent is not None
    assert spent.remaining == 99
    await redis.delete("late")
    await redis.aclose()
    await windows.aclose()


@pytest.mark.parametrize("url", ["http://host", "redis://host:port/0", "redis", ""])
def test_what_is_no_url_of_redis_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match="SANDQL_REDIS_URL must begin") as refused:
        RedisWindows(url)
    assert "http" not in str(refused.value)
