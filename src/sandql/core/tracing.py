"""Spans of what happens for an operation, for those who trace it; where nobody does, a span costs a look at a variable."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Final, Protocol


class Trace(Protocol):
    """What is traced of one operation."""

    def span(self, name: str) -> AbstractContextManager[object]:
        """A part of the operation, for as long as the context is open."""
        ...


tracing: Final[ContextVar[Trace | None]] = ContextVar("sandql_trace", default=None)
_NOTHING: Final = nullcontext()


def span(name: str) -> AbstractContextManager[object]:
    """A part of the operation for which this task works, if that one is traced."""
    trace = tracing.get()
    return _NOTHING if trace is None else trace.span(name)
