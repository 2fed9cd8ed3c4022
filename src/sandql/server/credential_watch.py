"""Work for a caller whose credential may expire or be revoked meanwhile: it is cancelled soon after."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Self

from sandql.access.callers import ENDED, Authenticator
from sandql.core.errors import Unauthenticated
from sandql.core.values import Caller

CHECK_S: Final = 2.0
_UNKNOWN_CHECKS: Final = 15  # that the database may leave unanswered, one after the other

_ending: ContextVar[CredentialWatch | None] = ContextVar("ending", default=None)


class CredentialWatch:
    """A context. The task that entered it is cancelled when the credential is not valid any more, and Unauthenticated leaves the context.

    Work that takes the cancellation for the end of all, and says so to its client, asks `has_credential_ended` what to say.
    """

    def __init__(self, authenticator: Authenticator, credential: str | None, caller: Caller) -> None:
        self._authenticator = authenticator
        self._credential = credential
        self._expires_at = caller.expires_at
        self._worker: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._checking: asyncio.Task[None] | None = None
        self._unknown = 0
        self.has_ended = False

    def __enter__(self) -> Self:
        if self._credential is not None:
            self._worker = asyncio.current_task()
            self._token = _ending.set(self)
            self._wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._worker is None:
            return
        worker, self._worker = self._worker, None
        _ending.reset(self._token)
        if self._timer is not None:
            self._timer.cancel()
        if self._checking is not None:
            self._checking.cancel()
        # Where others have cancelled the task too, theirs goes on.
        if self.has_ended and worker.uncancel() == 0 and (error is None or isinstance(error, asyncio.CancelledError)):
            raise Unauthenticated(ENDED) from None

    def _wait(self) -> None:
        left_s = CHECK_S if self._expires_at is None else self._expires_at - time.time()
        self._timer = asyncio.get_running_loop().call_later(min(max(left_s, 0.0), CHECK_S), self._begin)

    def _begin(self) -> None:
        self._checking = asyncio.create_task(self._check())

    async def _check(self) -> None:
        try:
            await self._authenticator.authenticate(self._credential, None)
        except Unauthenticated:
            self._end()
        except Exception:  # whatever it is: that the credential is valid is not known, and it is asked again
            self._unknown += 1
            if self._unknown >= _UNKNOWN_CHECKS:
                self._end()
            else:
                self._wait()
        else:
            self._unknown = 0
            self._wait()

    def _end(self) -> None:
        if self._worker is not None:
            self.has_ended = True
            self._worker.cancel()


def has_credential_ended() -> bool:
    """Whether what was cancelled here was so because of the caller's credential."""
    watch = _ending.get()
    return watch is not None and watch.has_ended
