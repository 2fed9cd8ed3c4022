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
    ├── PreconditionFailed      PRECONDITION_FAILED   412   a file is not as the request expects it
    ├── PayloadTooLarge         PAYLOAD_TOO_LARGE     413   body, file or document over its bound
    ├── RateLimited             RATE_LIMITED          429   with `retry_after_s`
    ├── QuotaExceeded           QUOTA_EXCEEDED        429   with `retry_after_s`
    ├── ProviderUnavailable     PROVIDER_UNAVAILABLE  503   not configured, unreachable, cannot isolate, or left alone since it fails
    ├── ResourceError           RESOURCE_ERROR        507   no capacity, memory or disk
    └── InternalError           INTERNAL_ERROR        500   a defect of the house
"""

from __future__ import annotations

from typing import ClassVar


class SandqlError(Exception):
    """The house could not do what was asked.

    `code` and `status` are the same on every door; `retry_after_s` is set where waiting can help; `counted` is for who counts refusals. Where a
    whole operation is refused, `operation` is its name, with which the message begins.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, retry_after_s: float | None = None, operation: str | None = None) -> None:
        self.message = message if operation is None else f"{operation}: {message}"
        super().__init__(self.message)
        self.operation = operation
        self.retry_after_s = retry_after_s
        self.counted = False

    def told_of(self, field: str) -> str:
        """The message, where the caller knows the operation by the name of that field."""
        return self.message if self.operation is None else field + self.message.removeprefix(self.operation)


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


class PreconditionFailed(SandqlError):
    """What is there is not what the request expects."""

    code = "PRECONDITION_FAILED"
    status = 412


class PayloadTooLarge(SandqlError):
    """A body, file or document is over its bound."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413


class RateLimited(SandqlError):
    """Too many requests; come back after `retry_after_s`."""

    code = "RATE_LIMITED"
    status = 429


class QuotaExceeded(SandqlError):
    """The caller has used what its plan gives for this period; more comes after `retry_after_s`."""

    code = "QUOTA_EXCEEDED"
    status = 429


class ProviderUnavailable(SandqlError):
    """The provider is not configured, unreachable, cannot isolate on this host, or gives no sandbox."""

    code = "PROVIDER_UNAVAILABLE"
    status = 503


class ResourceError(SandqlError):
    """There is no capacity, memory or disk left."""

    code = "RESOURCE_ERROR"
    status = 507


class InternalError(SandqlError):
    """A defect of the house: logged with the request id, said without details."""
