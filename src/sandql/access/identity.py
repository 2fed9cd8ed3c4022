"""Who a valid credential says that its holder is, and how owners of different kinds of credentials are kept apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sandql.core.permissions import Permission, Permissions

PermissionsOf = Callable[[str], Permissions | None]
"""What a role grants; None for one that is not known."""

MAX_SUBJECT_CHARS: Final = 255  # what the database keeps of an owner
MAX_NAME_CHARS: Final = 64
JWT: Final = "jwt"
API_KEY: Final = "key"


class InvalidTokenError(Exception):
    """A token that proves nothing. The reason is for tests and the operator, never for who sent it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What was proved. `scopes` narrow what the role grants, None where they do not; `expires_at` is a Unix time in seconds."""

    subject: str
    role: str
    plan: str
    tenant: str | None
    credential: str
    expires_at: float | None = None
    scopes: frozenset[Permission] | None = None


def owner_of(kind: str, tenant: str | None, subject: str) -> str | None:
    """The name of an owner, as `jwt:acme/alice` or `jwt:/alice`; None where the parts cannot be one.

    No two triples have the same name: a kind has no colon, and of the slashes in a tenant none is left. None equals that of the local caller.
    """
    if not is_name(subject, MAX_SUBJECT_CHARS) or (tenant is not None and not is_name(tenant, MAX_SUBJECT_CHARS)):
        return None
    # Characters that do not print are not taken: neither databases nor terminals agree on them.
    owner = f"{kind}:{'' if tenant is None else _escape(tenant)}/{subject}"
    return owner if len(owner) <= MAX_SUBJECT_CHARS else None


def is_of_tenant(owner: str, tenant: str) -> bool:
    """Whether an owner, of whatever kind of credential, belongs to a tenant."""
    _, _, rest = owner.partition(":")
    return "/" in rest and rest.partition("/")[0] == _escape(tenant)


def is_name(value: object, most_chars: int = MAX_NAME_CHARS) -> bool:
    """Whether it is a text of one to so many characters that all can be printed."""
    return isinstance(value, str) and 0 < len(value) <= most_chars and value.isprintable()


def _escape(tenant: str) -> str:
    return tenant.replace("%", "%25").replace("/", "%2F")
