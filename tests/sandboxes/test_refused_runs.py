"""Runs that did not start are counted by the code of the error, wherever they were refused."""

from __future__ import annotations

import asyncio

import pytest

from sandql.access.plans import read_plans
from sandql.access.rate_limits import RateLimits
from sandql.core.errors import ProviderUnavailable, ResourceError
from sandql.core.metrics import Metrics
from sandql.core.settings import load_settings
from sandql.core.values import HOME, Caller, Limits
from sandql.resolvers import code
from sandql.resolvers.operations import ExecuteCode, RunCommand
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.breaker import Breaker
from sandql.sandboxes.run_bounds import RunBounds
from sandql.sandboxes.turns import Turns
from sandql.usage.meter import Reservation, Unmetered, Usage
from tests.support.twin import TwinProvider

pytestmark = pytest.mark.unit

_ASKED = ExecuteCode(code="out 1", language="script")


class _House:
    def __init__(self, usage: Usage | None = None, bounds: RunBounds | None = None) -> None:
        settings = load_settings()
        self.twin = TwinProvider(settings)
        self.metrics = Metrics({self.twin.name: [language.name for language in self.twin.languages()]}, dict)
        self.breaker = Breaker(self.twin, 1, 60)
        breakers = {self.twin.name: self.breaker}
        self.sandboxes = Sandboxes(settings, {self.twin.name: self.twin}, usage=usage, bounds=bounds, metrics=self.metrics, breakers=breakers)

    async def run(self, asked: ExecuteCode | RunCommand = _ASKED) -> None:
        await code.execute(self.sandboxes, Caller(), asked)

    def counted(self, status: str, language: str = "script") -> int:
        """How many runs ended so."""
        line = f'compute_executions_total{{language="{language}",provider="local",status="{status}"}} '
        return sum(int(float(found.removeprefix(line))) for found in self.metrics.write().decode().splitlines() if found.startswith(line))


async def test_for_which_there_is_no_capacity() -> None:
    class Unwritten(Unmetered):
        async def reserve(self, caller: Caller, provider: str, language: str, limits: Limits) -> Reservation:
            raise ResourceError("the disk is full")

    house = _House(Unwritten())
    for count in (1, 2):
        with pytest.raises(ResourceError):
            await house.run()
        assert house.counted("RESOURCE_ERROR") == count
    with pytest.raises(ResourceError):
        await anext(code.stream_code(house.sandboxes, Caller(), _ASKED))
    assert house.counted("RESOURCE_ERROR") == 3
    assert house.twin.runs == 0


async def test_for_which_too_many_wait_and_who_goes_away_meanwhile() -> None:
    turns = Turns(1, cores=1)
    house = _House(bounds=RunBounds(RateLimits(read_plans({})), turns))
    held = [await turns.take("local") for _ in range(4)]
    waiting = asyncio.ensure_future(house.run())
    for _ in range(100):
        await asyncio.sleep(0)
    assert turns.queued == 1
    with pytest.raises(ResourceError, match="1 runs wait for their turn"):
        await house.run()
    assert house.counted("RESOURCE_ERROR") == 1
    waiting.cancel()
    await asyncio.wait([waiting])
    assert house.counted("CANCELLED") == 1
    for turn in held:
        turn.give_back()
    await house.run()
    assert (house.counted("RESOURCE_ERROR"), house.counted("CANCELLED"), house.counted("COMPLETED")) == (1, 1, 1)


async def test_by_a_provider_that_is_left_alone() -> None:
    house = _House()
    house.twin.failure = ProviderUnavailable("it does not answer")
    asked = (_ASKED, ExecuteCode(code="out 1", language=" SC "), ExecuteCode(code="out 1", language="script", sandbox_id=HOME))
    for count, run in enumerate((_ASKED, *asked), 1):
        with pytest.raises(ProviderUnavailable):
            await house.run(run)
        assert house.counted("PROVIDER_UNAVAILABLE") == count
    assert house.twin.asked == 1
    with pytest.raises(ProviderUnavailable):
        await house.run(RunCommand(line="true"))
    assert house.counted("PROVIDER_UNAVAILABLE", "command") == 1
    with pytest.raises(ProviderUnavailable):
        await house.run(ExecuteCode(code="1", language="made-up"))
    assert house.counted("PROVIDER_UNAVAILABLE", "other") == 1
    assert "made-up" not in house.metrics.write().decode()
