"""What a context is asked for, and what comes of code that runs in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sandql.core.values import Limits


class ContextStatus(StrEnum):
    """What a context does."""

    IDLE = "IDLE"
    BUSY = "BUSY"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True)
class ContextRequest:
    """A context, checked. `limits` hold for its process as long as it lives."""

    language: str
    env: Mapping[str, str]
    limits: Limits


@dataclass(frozen=True, slots=True)
class ContextInfo:
    """A context as its owner sees it. `created_at` is a Unix time in seconds; `limits` are those of its process."""

    id: str
    sandbox_id: str
    language: str
    status: ContextStatus
    created_at: float
    limits: Limits
