"""Counting over a sliding window in Redis, for several servers together: as `sliding_windows` counts.

The library `limits` needs two round trips, one to count and one for what is left. Here hits share them: those that come while some are on their
way go together, over one connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha1
from typing import Any, Final, NamedTuple

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Cut
from redis.exceptions import NoScriptError, RedisError

from sandql.access.sliding_windows import Spent, spent_of
from sandql.core.log import get_logger
from sandql.core.settings import SettingsError

_log = get_logger(__name__)

ANSWER_S: Final = 0.1
_AGAIN_S: Final = 1.0  # between attempts while Redis does not answer

_SCRIPT: Final = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local amount, period = tonumber(ARGV[1]), tonumber(ARGV[2])
local window = redis.call('HMGET', KEYS[1], 'since', 'before', 'count')
local since, before, count = tonumber(window[1]) or now, tonumber(window[2]) or 0, tonumber(window[3]) or 0
if now - since >= 2 * period then
    since, before, count = now, 0, 0
elseif now - since >= period then
    since, before, count = since + period, count, 0
end
local passed = now - since
if math.floor(before * (1 - passed / period)) + count >= amount then
    return {0, before, count, passed}
end
redis.call('HSET', KEYS[1], 'since', since, 'before', before, 'count', count + 1)
redis.call('PEXPIRE', KEYS[1], 2 * period - passed)
return {1, before, count + 1, passed}
"""


class _Hit(NamedTuple):
    key: str
    amount: int
    period_ms: int
    answer: asyncio.Future[list[int] | None]


class RedisWindows:
    """Counts hits of keys in the Redis at a URL. `available` is False from when it did not answer until it does again.

    Raises:
        SettingsError: the URL is none of Redis.
    """

    def __init__(self, url: str, answer_s: float = ANSWER_S, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            pool = ConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]  (its options are untyped)
                url, socket_timeout=answer_s, socket_connect_timeout=answer_s, retry=Retry(NoBackoff(), 0)
            )
        except ValueError:  # the URL may have a password in it, and is not repeated
            raise SettingsError("SANDQL_REDIS_URL must begin with redis://, rediss:// or unix://, and have numbers as port and database") from None
        self._connection = pool.make_connection()
        self._sha = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()  # by which Redis knows the script
        self._answer_s = answer_s
        self._clock = clock
        self._again_at = 0.0
        self._waiting: list[_Hit] = []
        self._asking: asyncio.Task[None] | None = None
        self.available = True

    async def hit(self, key: str, amount: int, period_s: int) -> Spent | None:
        """Count one more, unless it is one too many; None when Redis does not answer within twice `answer_s`."""
        if not self.available:
            if self._clock() < self._again_at:
                return None
            self._again_at = self._clock() + _AGAIN_S  # one asks, and the others do not wait with it
        hit = _Hit(key, amount, period_s * 1000, asyncio.get_running_loop().create_future())
        self._waiting.append(hit)
        if self._asking is None:  # in a task that no caller cancels: others' hits go with this one
            self._asking = asyncio.ensure_future(self._ask_all())
        answer = await hit.answer
        if answer is None:
            return None
        admitted, before, count, passed_ms = answer
        return spent_of(admitted == 1, before, count, passed_ms / 1000, amount, period_s)

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                hits, self._waiting = self._waiting, []
                answers: list[list[int]] | list[None] = [None] * len(hits)
                try:
                    async with asyncio.timeout(self._answer_s):
                        answers = await self._ask(hits)
                    self._found()
                except (RedisError, OSError) as error:
                    self._lost(type(error).__name__)
                    await self._leave()  # an answer that is late must not be taken for that of the next
                finally:
                    for hit, answer in zip(hits, answers, strict=True):
                        if not hit.answer.done():  # its caller may have gone
                            hit.answer.set_result(answer)
        finally:
            self._asking = None

    async def _ask(self, hits: list[_Hit]) -> list[list[int]]:
        asked = self._connection.pack_commands([("EVALSHA", self._sha, 1, hit.key, hit.amount, hit.period_ms) for hit in hits])
        if self._connection.is_connected:
            try:
                return await self._exchange(asked, len(hits))
            except (Cut, NoScriptError):  # it was cut while nobody asked, or Redis was emptied
                await self._leave()
        await self._connection.connect()
        await self._exchange(self._connection.pack_commands([("SCRIPT LOAD", _SCRIPT)]), 1)
        return await self._exchange(asked, len(hits))

    async def _exchange(self, commands: list[bytes], answers: int) -> list[Any]:
        await self._connection.send_packed_command(commands)
        return [await self._connection.read_response() for _ in range(answers)]

    async def _leave(self) -> None:
        with suppress(RedisError, OSError):
            await self._connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._leave()

    def _lost(self, error: str) -> None:
        self._again_at = self._clock() + _AGAIN_S
        if self.available:
            self.available = False
            _log.warning("Redis does not answer: rates are counted on each server alone until it does", error=error)

    def _found(self) -> None:
        if not self.available:
            self.available = True
            _log.warning("Redis answers again: rates are counted by all servers together")
