"""A piece of code that runs in a context, as a program."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from sandql.core.errors import BadRequest, Conflict
from sandql.core.values import Completed, Event, Outcome, Problem, RunRequest, Signal
from sandql.sandboxes.account import Account
from sandql.sandboxes.metered_context import MeteredContext


class ContextProgram:
    """See `sandql.providers.base.Program`; `on_event` is called for each event."""

    def __init__(self, context: MeteredContext, request: RunRequest, payer: Account, on_event: Callable[[], None]) -> None:
        self._context = context
        self._request = request
        self._payer = payer
        self._on_event = on_event
        self._stopped: Outcome | None = None

    @property
    def id(self) -> str:
        """The execution's id."""
        return self._request.id

    async def events(self) -> AsyncGenerator[Event]:
        """Run the code; closing the generator interrupts it."""
        async with aclosing(self._context.execute(self._request, self._payer)) as events:
            async for event in events:
                self._on_event()
                yield self._as_stopped(event) if isinstance(event, Completed) else event

    async def send_input(self, data: bytes) -> None:
        """Refused: the input of a context is empty."""
        raise Conflict("data: code in a context reads no input")

    def close_input(self) -> None:
        """Nothing, since there is no input."""

    def send_signal(self, signal: Signal) -> None:
        """INT interrupts the code, KILL ends it as cancelled. Raises BadRequest for others: they would end the context, or do nothing."""
        if signal is Signal.KILL:
            self.stop(Outcome.CANCELLED)
        elif signal is Signal.INT:
            self._context.interrupt()
        else:
            raise BadRequest(f"signal: code in a context takes INT or KILL, got {signal}")

    def stop(self, why: Outcome) -> None:
        """Interrupt the code, and end the context where that is of no use."""
        self._stopped = why
        self._context.stop()

    def _as_stopped(self, last: Completed) -> Completed:
        ran = last.execution
        if self._stopped is None or ran.outcome is Outcome.COMPLETED:
            return last
        return replace(last, execution=replace(ran, outcome=self._stopped, exit_code=None, problem=_problem(self._stopped)))


def _problem(why: Outcome) -> Problem:
    return Problem(why, "the run was cancelled" if why is Outcome.CANCELLED else "the code wrote more than its log may have")
