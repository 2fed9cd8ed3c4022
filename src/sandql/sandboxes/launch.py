"""What is known of a program before it begins."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from sandql.core.errors import SandqlError
from sandql.core.values import RunRequest
from sandql.providers.base import Program, Provider

Start = Callable[[RunRequest], AbstractAsyncContextManager[Program]]
Admit = Callable[[RunRequest], AbstractAsyncContextManager[Start]]


@dataclass(frozen=True, slots=True)
class Launch:
    """A program that is about to be started, in a sandbox that is borrowed or a context.

    `start` is given `request`, or one made of it. `admit` is as well, and first refuses what its caller has not enough left for; what it
    yields starts the program. `refused` is told of an error when whoever asked has been answered already, as of code that waited for its turn.
    """

    provider: Provider
    sandbox_id: str | None
    request: RunRequest
    start: Start
    admit: Admit
    refused: Callable[[SandqlError], None] | None = None
