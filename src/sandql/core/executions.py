"""An execution that outlives its client, as its row says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sandql.core.values import Outcome


class ExecutionStatus(StrEnum):
    """Whether an execution goes on."""

    RUNNING = "RUNNING"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class KeptExecution:
    """A run that was started and left to itself. Times are Unix seconds; `outcome` and `ended_at` are None while it runs."""

    id: str
    owner: str
    sandbox_id: str | None
    provider: str
    language: str
    server: str
    status: ExecutionStatus
    outcome: Outcome | None
    started_at: float
    ended_at: float | None
