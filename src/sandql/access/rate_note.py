"""What the operations of one request were counted against, for the headers of its answer."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from sandql.core.permissions import Kind


@dataclass(frozen=True, slots=True)
class RateState:
    """How much of a rate is left: of `amount` in `period_s` seconds `remaining` are, and in `after_s` seconds there are more."""

    amount: int
    period_s: int
    remaining: int
    after_s: float


class RateNote:
    """The last state of each kind that was counted, and how long to wait where something was refused."""

    __slots__ = ("retry_after_s", "states")

    def __init__(self) -> None:
        self.states: dict[Kind, RateState] = {}
        self.retry_after_s: float | None = None

    def refuse(self, retry_after_s: float) -> None:
        """Something was refused for so long; of several the longest counts."""
        self.retry_after_s = max(self.retry_after_s or 0.0, retry_after_s)


RATE_NOTE: Final[ContextVar[RateNote | None]] = ContextVar("rate_note", default=None)
"""Set by a door whose answers have headers; whatever is done for a request finds it here."""
