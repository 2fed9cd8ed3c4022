"""Every error that the house can answer with.

A failed program is never here: it is an `Execution` with an outcome. These say that the request or the house is at fault.

    SandqlError                 code                  HTTP
    ├── BadRequest              BAD_REQUEST           400   an argument is not acceptable
    │   ├── QueryTooCostly      QUERY_TOO_COSTLY      400   depth, aliases, tokens or cost over the bound
    │   └── Unsupported         UNSUPPORTED           400   the provider cannot do this
    ├── Unauthenticated         UNAUTHENTICATED       401   no valid credential
    ├── Forbidden               FORBIDDEN             403   not allowed
    ├── NotFound                NOT_FOUND             404   sandbox, execution or file
    ├── DeadlinePassed          TIMEOUT               408   nothing to return before the deadline
    ├── Conflict                CONFLICT              409   a name or key is taken
    ├── PayloadTooLarge         PAYLOAD_TOO_LARGE     413   body, file or document over its bound
    ├── RateLimited             RATE_LIMITED          429   with `retry_after_s`
    ├── ProviderUnavailable     PROVIDER_UNAVAILABLE  503   not configured, unreachable, or cannot isolate
    ├── ResourceError           RESOURCE_ERROR        507   no capacity, memory or disk
    └── InternalError           INTERNAL_ERROR        500   a defect of the house
"""

from __future__ import annotations

from typing import ClassVar


class SandqlError(Exception):
    """The house could not do what was asked.

    `code` and `status` are the same on every door; `retry_after_s` is set where waiting can help.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s


class BadRequest(SandqlError):
    """An argument is not acceptable; the message names it, its bound and what was given."""

    code = "BAD_REQUEST"
    status = 400


class QueryTooCostly(BadRequest):
    """The document's depth, aliases, tokens or cost is over the bound."""

    code = "QUERY_TOO_COSTLY"


class Unsupported(BadRequest):
    """The provider cannot do this; its capabilities say so."""

    code = "UNSUPPORTED"


class Unauthenticated(SandqlError):
    """There is no valid credential."""

    code = "UNAUTHENTICATED"
    status = 401


class Forbidden(SandqlError):
    """The caller may not do this."""

    code = "FORBIDDEN"
    status = 403


class NotFound(SandqlError):
    """No such sandbox, execution or file, or not the caller's."""

    code = "NOT_FOUND"
    status = 404


class DeadlinePassed(SandqlError):
    """The deadline passed before there was anything to return."""

    code = "TIMEOUT"
    status = 408


class Conflict(SandqlError):
    """A name is taken, or a key was used with other arguments."""

    code = "CONFLICT"
    status = 409


class PayloadTooLarge(SandqlError):
    """A body, file or document is over its bound."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413


class RateLimited(SandqlError):
    """Too many requests; come back after `retry_after_s`."""

    code = "RATE_LIMITED"
    status = 429


class ProviderUnavailable(SandqlError):
    """The provider is not configured, unreachable, or cannot isolate on this host."""

    code = "PROVIDER_UNAVAILABLE"
    status = 503


class ResourceError(SandqlError):
    """There is no capacity, memory or disk left."""

    code = "RESOURCE_ERROR"
    status = 507


class InternalError(SandqlError):
    """A defect of the house: logged with the request id, said without details."""
