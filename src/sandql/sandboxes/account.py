"""Who pays for what runs, and what is set aside for it until it is known what it cost."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandql.core.errors import InternalError, SandqlError
from sandql.core.tracing import span
from sandql.core.values import Caller, Execution, Limits, Outcome
from sandql.usage.meter import Cost, Reservation, Usage

if TYPE_CHECKING:
    from sandql.core.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Account:
    """A caller at a provider."""

    usage: Usage
    caller: Caller
    provider: str
    metrics: Metrics | None = None

    async def bill(self, language: str, limits: Limits, stored: int = 0) -> Bill:
        """Set aside what something with these limits may cost, of which so many bytes are kept. Raises QuotaExceeded, RateLimited, ResourceError."""
        return Bill(await self.reserve(language, limits), self, language, limits, stored)

    async def reserve(self, language: str, limits: Limits) -> Reservation:
        """Set aside what something with these limits may cost, without a bill; it is to be given back. Raises as `bill`."""
        try:
            return await self.usage.reserve(self.caller, self.provider, language, limits)
        except BaseException as error:
            self.refused(language, error)
            raise

    def refused(self, language: str, error: BaseException) -> None:
        """Count a run that did not start for that error, and has no bill."""
        self.note(language, _status(error), None)

    def note(self, language: str, status: str, wall_ms: int | None) -> None:
        """Count a run that has ended: with an outcome, or with an error's code and without a time."""
        if self.metrics is not None:
            self.metrics.run_ended(self.provider, language, status, None if wall_ms is None else wall_ms / 1000)

    def charge(self, language: str, cost: Cost) -> None:
        """Let the caller pay for what nothing was set aside for."""
        self.usage.charge(self.caller, self.provider, language, cost)

    async def check(self) -> None:
        """Let something go on that is charged afterwards. Raises QuotaExceeded: its caller has nothing left; and as `Usage.check`."""
        await self.usage.check(self.caller)


class Bill:
    """What is set aside for something that runs, until it is known what it cost."""

    def __init__(self, reservation: Reservation, account: Account, language: str, limits: Limits, stored: int) -> None:
        self._reservation = reservation
        self._account = account
        self._language = language
        self._limits = limits
        self._stored = stored
        self._began = time.monotonic()
        self._open = True
        self._started = False

    def start(self) -> None:
        """What it is for begins now, and is paid when it is cut off: until then nothing is."""
        self._began = time.monotonic()
        self._started = True

    @property
    def is_open(self) -> bool:
        """Whether it is not paid yet, and what was set aside not given back."""
        return self._open

    @property
    def wall_ms(self) -> int:
        """For how long it has been, in milliseconds."""
        return int((time.monotonic() - self._began) * 1000)

    def pay(self, outcome: Outcome, cost: Cost, wall_ms: int | None = None, sent: int = 0) -> None:
        """It has ended after that time, cost that, and gave so many bytes of files; the time is part of the cost unless it is said.

        Nothing happens a second time.
        """
        if self._open:
            self._open = False
            with span("settle"):
                self._reservation.settle(cost)
            account = self._account
            account.usage.count_bytes(account.caller, account.provider, stored=self._stored, sent=sent)
            self._note(outcome, cost.wall_ms if wall_ms is None else wall_ms)

    def pay_for(self, execution: Execution) -> None:
        """An execution has ended."""
        sent = sum(len(file.content) for file in execution.artifacts)
        compiled_ms = 0 if execution.compilation is None else execution.compilation.wall_ms
        cost = Cost(execution.wall_ms + compiled_ms, execution.cpu_ms, execution.peak_memory_kib)
        self.pay(execution.outcome, cost, execution.wall_ms, sent)

    def close(self) -> None:
        """Pay what is not paid: what was cut off costs its time, as if it had computed all the while with all the memory that it may have."""
        if self._open and self._started:
            self.pay(Outcome.CANCELLED, Cost(self.wall_ms, self.wall_ms, self._limits.memory_bytes >> 10))
        else:
            self.refund()

    def refund(self) -> None:
        """Give back what was set aside, unless it is paid."""
        if self._open:
            self._open = False
            self._reservation.refund()
            self._note(_status(sys.exception()), None)

    def _note(self, status: str, wall_ms: int | None) -> None:
        self._account.note(self._language, status, wall_ms)


def _status(error: BaseException | None) -> str:
    """What is said of a run that did not start."""
    if isinstance(error, SandqlError):
        return error.code
    return InternalError.code if isinstance(error, Exception) else Outcome.CANCELLED
