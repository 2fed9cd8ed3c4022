"""What a kept sandbox is: its states, what it was made with, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from sandql.core.values import Limits

DEFAULT_TEMPLATE = "default"


def _nothing() -> Mapping[str, str]:
    return MappingProxyType({})


class SandboxStatus(StrEnum):
    """Where a kept sandbox is in its life; `sandql.sandboxes.states` says which may follow which."""

    CREATING = "CREATING"
    RUNNING = "RUNNING"
    IDLE = "IDLE"
    DESTROYED = "DESTROYED"
    LOST = "LOST"


@dataclass(frozen=True, slots=True)
class Template:
    """A named starting state of a sandbox. `available` is whether it can be used now; `detail` says what it holds, or why it can't."""

    name: str
    available: bool
    detail: str


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What a kept sandbox is made with. `limits` are the default of its runs and the most that one may ask for; every program finds `env`."""

    template: str = DEFAULT_TEMPLATE
    limits: Limits = field(default_factory=Limits)
    env: Mapping[str, str] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class KeptSandbox:
    """A kept sandbox as its owner's row says. Times are Unix seconds; it ends `timeout_ms` after `worked_at` unless it gets work.

    `ref` is the provider's own name for it; `server` is the server that keeps it; `asked` is the fingerprint of the
    arguments with which it was asked for.
    """

    id: str
    owner: str
    provider: str
    server: str
    ref: str
    name: str | None
    status: SandboxStatus
    created_at: float
    worked_at: float
    timeout_ms: int
    ended_at: float | None
    spec: SandboxSpec
    metadata: Mapping[str, str] = field(default_factory=_nothing)
    asked: str = ""

    @property
    def expires_at(self) -> float:
        """When it ends if it gets no work until then."""
        return self.worked_at + self.timeout_ms / 1000
