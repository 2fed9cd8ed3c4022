"""Eight callers who run programs without a pause, and what each of their runs may end as when a part of the house is killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sandql.core.errors import ProviderUnavailable, ResourceError
from sandql.core.values import Outcome, RunRequest
from sandql.providers.base import Provider

CALLERS = 8
BOUND_S = 10.0  # in which each run is answered, whatever happens meanwhile

_PROGRAMS = (
    (b"print('done')", None),
    (b"import time\ntime.sleep(0.05)\nprint('done')", None),
    (b"import time\ntime.sleep(0.3)\nprint('done')", None),
    (b"print('done')", "load"),
)
_LOST = {Outcome.SANDBOX_LOST, Outcome.KILLED}


@dataclass(slots=True)
class Load:
    """What came of the runs so far: how many by outcome or error code, and everything that must not happen."""

    answers: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])

    async def _call(self, provider: Provider, number: int) -> None:
        code, home = _PROGRAMS[number % len(_PROGRAMS)]
        while True:
            try:
                async with asyncio.timeout(BOUND_S), provider.fresh() if home is None else provider.home(f"{home} {number}") as sandbox:
                    done = await sandbox.run(RunRequest("python", code))
            except TimeoutError:
                self.wrong.append(f"caller {number} had no answer within {BOUND_S} s")
            except (ResourceError, ProviderUnavailable) as error:
                self.answers[error.code] += 1
                await asyncio.sleep(0.01)
            else:
                self.answers[done.outcome] += 1
                if done.outcome not in _LOST and (done.outcome, done.stdout) != (Outcome.COMPLETED, b"done\n"):
                    self.wrong.append(f"caller {number}: {done.outcome}, {done.exit_code}, {done.stdout!r}, {done.stderr!r}")


@asynccontextmanager
async def under_load(provider: Provider) -> AsyncGenerator[Load]:
    """Have the callers at work while it is open; at its end all of them must have got right answers only."""
    load = Load()
    callers = [asyncio.ensure_future(load._call(provider, number)) for number in range(CALLERS)]  # pyright: ignore[reportPrivateUsage]
    try:
        yield load
    finally:
        for caller in callers:
            caller.cancel()
        ended = await asyncio.gather(*callers, return_exceptions=True)
    defects = [error for error in ended if not isinstance(error, asyncio.CancelledError)]
    assert not defects, f"a caller got what has no code: {defects}"
    assert not load.wrong
    assert load.answers[Outcome.COMPLETED]
