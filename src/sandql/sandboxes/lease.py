"""What is had for as long as a sandbox is borrowed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

from sandql.core.kept import KeptSandbox
from sandql.core.values import RunRequest
from sandql.providers.base import Provider, Sandbox
from sandql.sandboxes.launch import Start
from sandql.sandboxes.metered import MeteredSandbox
from sandql.usage.storage import Share


def _nothing_to_touch() -> None:
    """A sandbox without a row doesn't expire while it is lent."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What was borrowed.

    `kept` is the row of a sandbox that `createSandbox` made, else None; `touch` says that there is work in it now, and in a block of `working` there
    is; `share` is its part in what its owner keeps, where that is bounded.
    """

    sandbox: Sandbox
    provider: Provider
    kept: KeptSandbox | None = None
    touch: Callable[[], None] = _nothing_to_touch
    working: Callable[[], AbstractContextManager[None]] = nullcontext
    share: Share | None = None

    @asynccontextmanager
    async def admit(self, request: RunRequest) -> AsyncGenerator[Start]:
        """What starts a program here, once what it may cost is set aside; given back where it is not started. Raises as `Sandbox.start`."""
        if not isinstance(self.sandbox, MeteredSandbox):
            yield self.sandbox.start
            return
        async with self.sandbox.admit(request) as start:
            yield start
