"""When a provider is left alone: one that fails again and again would only let each who asks wait for the same answer.

    CLOSED ── so many failures in a row ──→ OPEN ── a pause ──→ HALF_OPEN: one attempt is let through
      ↑                                      ↑                      │
      └──────────── it succeeded ────────────┴────── it failed ─────┘

Only `ProviderUnavailable` counts: a caller's mistake, a full queue and a program that failed are no failures of a provider. One that says by its
`health` that it can't run code is not left alone: it refuses at once, and its words name the mend.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Generic, TypeVar

from sandql.core.errors import ProviderUnavailable
from sandql.core.load import BreakerState
from sandql.core.log import get_logger
from sandql.providers.base import Provider

_log = get_logger(__name__)

Lent = TypeVar("Lent")
Attempt = Callable[[], AbstractContextManager[None]]


class Breaker:
    """Watches what is asked of one provider. It opens after `most_failures` in a row, for `pause_s` seconds at a time."""

    def __init__(self, provider: Provider, most_failures: int, pause_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._provider = provider
        self._most_failures = most_failures
        self._pause_s = pause_s
        self._clock = clock
        self._again_at: float | None = None  # while it is not closed: when the next attempt may be made
        self._trial: _Attempt | None = None
        self._usual = {proves: _Attempt(self, proves=proves) for proves in (True, False)}  # so that one costs next to nothing
        self.failures = 0

    @property
    def state(self) -> BreakerState:
        """Whether the provider is asked."""
        if self._again_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._trial is not None or self._clock() >= self._again_at else BreakerState.OPEN

    def attempt(self) -> AbstractContextManager[None]:
        """The provider is asked to begin something that runs, inside of the context.

        Raises:
            ProviderUnavailable: it is left alone for now.
        """
        return self._attempt(proves=True)

    def preparing(self) -> AbstractContextManager[None]:
        """It is asked for something that comes before that: no proof that code can be run. Raises as `attempt`."""
        return self._attempt(proves=False)

    def _attempt(self, *, proves: bool) -> AbstractContextManager[None]:
        if self._again_at is None:
            return self._usual[proves]
        now = self._clock()
        if now < self._again_at:
            raise ProviderUnavailable(
                f"provider {self._provider.name!r} failed {self.failures} times in a row; it is asked again in {self._again_at - now:.1f} s",
                retry_after_s=math.ceil((self._again_at - now) * 10) / 10,
            )
        self._again_at = now + self._pause_s  # a trial that takes longer does not keep others from trying
        self._trial = _Attempt(self, proves=proves)
        return self._trial

    def ended(self, attempt: _Attempt, error: BaseException | None, *, proves: bool) -> None:
        """An attempt is over. While the breaker is not closed, only that of the latest trial says anything."""
        trial = attempt is self._trial
        if trial:
            self._trial = None
        elif self._again_at is not None:
            return
        if isinstance(error, ProviderUnavailable) and self._provider.health().available:
            self.failures += 1
            if trial or self.failures >= self._most_failures:
                self._again_at = self._clock() + self._pause_s
                _log.warning("a provider is left alone", provider=self._provider.name, failures=self.failures, pause_s=self._pause_s)
        elif error is None and proves:
            if trial:
                self._again_at = None
                _log.warning("a provider works again", provider=self._provider.name, after=self.failures)
            self.failures = 0
        elif trial:
            self._again_at = self._clock()  # it said nothing; the next one may try at once


class _Attempt:
    __slots__ = ("_breaker", "_proves")

    def __init__(self, breaker: Breaker, *, proves: bool) -> None:
        self._breaker = breaker
        self._proves = proves

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._breaker.ended(self, error, proves=self._proves)


class Entering(Generic[Lent]):
    """`context`, of which entering is an attempt, and what is done inside of it is not."""

    __slots__ = ("_attempt", "_context")

    def __init__(self, attempt: Attempt, context: AbstractAsyncContextManager[Lent]) -> None:
        self._attempt = attempt
        self._context = context

    async def __aenter__(self) -> Lent:
        with self._attempt():
            return await self._context.__aenter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        return await self._context.__aexit__(kind, error, trace)
