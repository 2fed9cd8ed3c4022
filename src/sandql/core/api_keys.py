"""API keys, as the house knows them: never the key itself, only what it was given for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandql.core.permissions import Permission

_MOST_CHARS: Final = 64


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key. `id` is a part of it that is no secret; `digest` is the SHA-256 of the secret part, in hexadecimal. Times are Unix seconds.

    `scopes` narrow what the role grants, None where they do not.
    """

    id: str
    digest: str
    name: str
    subject: str
    role: str
    plan: str
    tenant: str | None
    scopes: frozenset[Permission] | None
    created_at: float
    expires_at: float | None = None
    last_used_at: float | None = None
    revoked_at: float | None = None

    def is_valid(self, now: float) -> bool:
        """Whether it proves something at that time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """What a key is to be made for; it is valid for `lifetime_s`, for ever where that is None."""

    name: str
    subject: str
    role: str
    plan: str
    tenant: str | None = None
    scopes: frozenset[Permission] | None = None
    lifetime_s: float | None = None

    @property
    def purpose(self) -> str:
        """Its role and its subject in a short text, which names it before it has an id."""
        subject = self.subject if self.tenant is None else f"{self.tenant}/{self.subject}"
        return f"{self.role[:_MOST_CHARS]} for {subject}"  # the role must leave the subject room


@dataclass(frozen=True, slots=True)
class IssuedApiKey:
    """A key that was made just now, with the one text that proves it; that is known nowhere else."""

    key: ApiKey
    secret: str
