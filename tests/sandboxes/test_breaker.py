"""A provider that fails again and again is left alone, tried by one, and used again when that one succeeds; nobody else can bring that about."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from sandql.core.errors import BadRequest, PayloadTooLarge, ProviderUnavailable, ResourceError, SandqlError
from sandql.core.load import BreakerState, HouseLoad
from sandql.core.metrics import Metrics
from sandql.core.settings import load_settings
from sandql.core.values import HOME, Caller, Outcome
from sandql.resolvers import catalog, code, files
from sandql.resolvers.operations import ExecuteCode
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.breaker import Breaker
from tests.support.twin import TwinProvider

pytestmark = pytest.mark.unit

_MOST, _PAUSE_S = 3, 10.0
_GONE = ProviderUnavailable("it does not answer")


class _House:
    """A house with a twin, and a clock that a test moves."""

    def __init__(self) -> None:
        settings = load_settings()
        self.now = 0.0
        self.twin = TwinProvider(settings)
        self.breaker = Breaker(self.twin, _MOST, _PAUSE_S, lambda: self.now)
        self.sandboxes = Sandboxes(settings, {self.twin.name: self.twin}, breakers={self.twin.name: self.breaker})

    async def run(self, script: str = "out 1", template: str | None = None) -> Outcome:
        asked = ExecuteCode(code=script, language="script", template=template)
        return (await code.execute(self.sandboxes, Caller(), asked)).outcome

    async def fail(self, times: int, error: SandqlError = _GONE) -> None:
        self.twin.failure = error
        for _ in range(times):
            with pytest.raises(type(error)) as raised:
                await self.run()
            assert raised.value is error, "it was not asked"
        self.twin.failure = None

    async def open(self) -> None:
        await self.fail(_MOST)
        assert self.breaker.state is BreakerState.OPEN

    async def refused(self) -> ProviderUnavailable:
        asked = self.twin.asked
        with pytest.raises(ProviderUnavailable) as raised:
            await self.run()
        assert self.twin.asked == asked, "it was asked"
        return raised.value


@pytest.fixture
def house() -> _House:
    """A house in which all is well."""
    return _House()


async def test_it_is_left_alone_after_so_many_failures_in_a_row(house: _House) -> None:
    await house.fail(_MOST - 1)
    assert await house.run() is Outcome.COMPLETED
    await house.fail(_MOST)
    house.now += 4
    refused = await house.refused()
    assert "'local' failed 3 times in a row; it is asked again in 6.0 s" in refused.message
    assert refused.retry_after_s == 6
    assert catalog.list_providers(house.sandboxes)[0].available is False


async def test_one_run_tries_it_and_all_may_when_that_succeeds(house: _House) -> None:
    await house.open()
    house.now += _PAUSE_S
    assert house.breaker.state is BreakerState.HALF_OPEN
    assert catalog.list_providers(house.sandboxes)[0].available is True, "without work sent to it, it would never be tried"
    trial = asyncio.ensure_future(house.run("sleep 0.01\nout 1"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert house.twin.running == 1
    await house.refused()
    assert await trial is Outcome.COMPLETED
    assert house.breaker.state is BreakerState.CLOSED
    await house.fail(_MOST - 1)
    assert await house.run() is Outcome.COMPLETED


async def test_a_trial_that_fails_means_another_pause(house: _House) -> None:
    await house.open()
    house.now += _PAUSE_S
    await house.fail(1)
    assert house.breaker.state is BreakerState.OPEN
    assert (await house.refused()).retry_after_s == _PAUSE_S


async def test_a_trial_that_is_broken_off_or_refused_decides_nothing(house: _House) -> None:
    await house.open()
    house.now += _PAUSE_S
    trial = asyncio.ensure_future(house.run("hang"))
    for _ in range(100):
        await asyncio.sleep(0)
    trial.cancel()
    with suppress(asyncio.CancelledError):
        await trial
    assert house.breaker.state is BreakerState.HALF_OPEN
    await house.fail(1, PayloadTooLarge("too large"))
    assert house.breaker.state is BreakerState.HALF_OPEN
    assert await house.run("exit 3") is Outcome.FAILED
    assert house.breaker.state is BreakerState.CLOSED, "a program that fails has run"


async def test_a_trial_that_lasts_does_not_keep_others_from_trying(house: _House) -> None:
    await house.open()
    house.now += _PAUSE_S
    trial = asyncio.ensure_future(house.run("hang"))
    for _ in range(100):
        await asyncio.sleep(0)
    house.now += _PAUSE_S
    assert await house.run() is Outcome.COMPLETED
    assert house.breaker.state is BreakerState.CLOSED
    trial.cancel()
    with suppress(asyncio.CancelledError):
        await trial
    assert house.breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("error", [BadRequest("no"), PayloadTooLarge("no"), ResourceError("the queue is full")])
async def test_what_is_not_the_providers_failure_does_not_count(house: _House, error: SandqlError) -> None:
    await house.fail(_MOST + 1, error)
    assert house.breaker.state is BreakerState.CLOSED
    for _ in range(_MOST + 1):
        assert await house.run("exit 3") is Outcome.FAILED
        assert await house.run("lost") is Outcome.SANDBOX_LOST
    assert house.breaker.state is BreakerState.CLOSED
    assert await house.run() is Outcome.COMPLETED


async def test_one_that_knows_that_it_cannot_is_asked_and_says_why(house: _House) -> None:
    house.twin.available = False
    await house.fail(_MOST + 1)
    assert house.breaker.state is BreakerState.CLOSED
    assert catalog.list_providers(house.sandboxes)[0].detail == "told so by a test"


@pytest.mark.parametrize("ending", ["out 1", "late failure"])
async def test_a_run_that_began_before_it_opened_says_nothing_of_now(house: _House, ending: str) -> None:
    earlier = house.breaker.attempt()
    with earlier if ending == "out 1" else pytest.raises(ProviderUnavailable):
        await house.open()
        if ending != "out 1":
            with earlier:
                raise _GONE
    assert house.breaker.state is BreakerState.OPEN
    assert house.breaker.failures == _MOST
    assert (await house.refused()).retry_after_s == _PAUSE_S


async def test_a_template_has_troubles_of_its_own(house: _House) -> None:
    house.twin.failure = _GONE
    for _ in range(_MOST + 1):
        with pytest.raises(ProviderUnavailable):
            await house.run(template="its-own")
    house.twin.failure = None
    assert house.breaker.state is BreakerState.CLOSED
    assert await house.run() is Outcome.COMPLETED


async def test_files_and_streams(house: _House) -> None:
    """Files of a home need no run, so they stay; a run that is streamed is refused as the others are."""
    await house.open()
    await files.write_file(house.sandboxes, Caller(), "a.txt", b"kept", sandbox_id=HOME)
    assert house.twin.files == {"a.txt": b"kept"}
    stream = code.stream_code(house.sandboxes, Caller(), ExecuteCode(code="out 1", language="script"))
    with pytest.raises(ProviderUnavailable, match="in a row"):
        await anext(stream)
    await stream.aclose()
    assert house.twin.runs == 0


def test_its_state_is_a_metric_of_three_known_states() -> None:
    written = Metrics({}, dict, lambda: HouseLoad({"local": BreakerState.HALF_OPEN})).write().decode()
    assert [line for line in written.splitlines() if line.startswith("sandql_breaker_state")] == [
        'sandql_breaker_state{provider="local",state="closed"} 0.0',
        'sandql_breaker_state{provider="local",state="open"} 0.0',
        'sandql_breaker_state{provider="local",state="half_open"} 1.0',
    ]
