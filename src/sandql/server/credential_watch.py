"""Work for a caller whose credential may expire or be revoked meanwhile, or cannot be looked at any more: it is cancelled soon after."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Self

from sandql.access.callers import ENDED, Authenticator
from sandql.core.errors import ResourceError, SandqlError, Unauthenticated
from sandql.core.values import Caller

CHECK_S: Final = 2.0
ANSWER_S: Final = 5.0  # a database that hangs is not waited for
UNKNOWN_S: Final = 30.0  # in which nobody may say whether the credential is valid
UNKNOWN: Final = f"for {UNKNOWN_S:g} seconds nobody could say whether the credential is still valid"
_RETRY_S: Final = 1.0

_ending: ContextVar[CredentialWatch | None] = ContextVar("ending", default=None)


class CredentialWatch:
    """A context. The task that entered it is cancelled when the credential is not valid any more, and Unauthenticated leaves the context.

    So it is when nobody could say for long whether the credential is valid, and then ResourceError leaves the context. Work that takes the
    cancellation for the end of all, and says so to its client, asks `credential_end` what to say.
    """

    def __init__(self, authenticator: Authenticator, credential: str | None, caller: Caller) -> None:
        self._authenticator = authenticator
        self._credential = credential
        self._expires_at = caller.expires_at
        self._worker: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._checking: asyncio.Task[None] | None = None
        self._answered_at = 0.0
        self.end: SandqlError | None = None

    def __enter__(self) -> Self:
        if self._credential is not None:
            self._worker = asyncio.current_task()
            self._token = _ending.set(self)
            self._answered_at = time.monotonic()
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
        if self.end is not None and worker.uncancel() == 0 and (error is None or isinstance(error, asyncio.CancelledError)):
            raise self.end from None

    def _left_s(self, most_s: float) -> float:
        """The seconds until the credential expires, as far as that is known: at most so many."""
        return most_s if self._expires_at is None else min(max(self._expires_at - time.time(), 0.0), most_s)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._left_s(CHECK_S), self._begin)

    def _begin(self) -> None:
        if self._left_s(CHECK_S) == 0:  # nobody need be asked
            self._end(Unauthenticated(ENDED))
        else:
            self._checking = asyncio.create_task(self._check())

    async def _check(self) -> None:
        try:
            async with asyncio.timeout(self._left_s(ANSWER_S)):
                caller = await self._authenticator.authenticate(self._credential, None)
        except Unauthenticated:
            self._end(Unauthenticated(ENDED))
        except Exception:  # whatever it is: that the credential is valid is not known, and it is asked again
            if time.monotonic() - self._answered_at >= UNKNOWN_S:
                self._end(ResourceError(UNKNOWN, retry_after_s=_RETRY_S))
            else:
                self._wait()
        else:
            self._answered_at = time.monotonic()
            self._expires_at = caller.expires_at  # which is sooner where the key was rotated
            self._wait()

    def _end(self, why: SandqlError) -> None:
        if self._worker is not None:
            self.end = why
            self._worker.cancel()


def credential_end() -> SandqlError | None:
    """Why what was cancelled here was so because of the caller's credential; None where it was not."""
    watch = _ending.get()
    return None if watch is None else watch.end
