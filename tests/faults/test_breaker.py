"""A supervisor that hangs: after some runs have waited in vain, others are told at once, and all is well when it goes on."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from sandql.core.errors import ProviderUnavailable
from sandql.core.load import BreakerState
from sandql.core.values import Execution, Outcome
from sandql.providers.local import engine
from sandql.resolvers import code
from sandql.resolvers.operations import ExecuteCode
from sandql.sandboxes.borrow import Sandboxes
from tests.support.engine import supervisor_of, until
from tests.support.house import ALICE, open_house

pytestmark = pytest.mark.unprivileged

_MOST = 3


async def _run(house: Sandboxes) -> Execution:
    return await code.execute(house, ALICE, ExecuteCode("print(1)", "python"))


async def test_a_supervisor_that_hangs_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_house(pool_size=1, breaker_failures=_MOST, breaker_pause_s=0.3) as house:
        breaker = house.breakers["local"]
        assert (await _run(house)).outcome is Outcome.COMPLETED
        supervisor = supervisor_of()
        os.kill(supervisor, signal.SIGSTOP)
        try:
            monkeypatch.setattr(engine, "_COLD_START_S", 0.1)
            errors = await asyncio.gather(*(_run(house) for _ in range(_MOST + 2)), return_exceptions=True)  # some cells may have been parked
            late = [error for error in errors if isinstance(error, ProviderUnavailable) and "could be made" in error.message]
            assert len(late) >= _MOST
            assert breaker.state is BreakerState.OPEN
            with pytest.raises(ProviderUnavailable, match="in a row") as refused:
                await _run(house)
            assert refused.value.retry_after_s
            assert await until(lambda: breaker.state is BreakerState.HALF_OPEN)
            with pytest.raises(ProviderUnavailable, match="could be made"):
                await _run(house)
            assert breaker.state is BreakerState.OPEN
        finally:
            monkeypatch.undo()
            os.kill(supervisor, signal.SIGCONT)
        assert await until(lambda: breaker.state is BreakerState.HALF_OPEN)
        assert (await _run(house)).outcome is Outcome.COMPLETED
        assert breaker.state is BreakerState.CLOSED
