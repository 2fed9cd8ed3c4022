"""Whether a caller may do something now: the one place that every operation of every door asks."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from sandql.access.audit import Audit, is_denial
from sandql.access.roles import Roles
from sandql.access.shares import Shares
from sandql.core.errors import Forbidden, RateLimited, SandqlError
from sandql.core.permissions import Act
from sandql.core.values import Caller

if TYPE_CHECKING:
    from sandql.access.rate_limits import RateLimits


class Access:
    """Admits operations or refuses them. Without `rates` it admits any number; with an audit log, what it decides is written there.

    `roles` are those that callers may have; without, those that come with sandql. Of a caller at most `most_streams` are open at one time.
    """

    def __init__(
        self, rates: RateLimits | None = None, *, roles: Roles | None = None, audit: Audit | None = None, most_streams: int = sys.maxsize
    ) -> None:
        self.rates = rates
        self.roles = roles or Roles()
        self.audit = audit
        self.streams = Shares(most_streams, "subscriptions and transfers of a caller")

    @property
    def plans(self) -> Collection[str]:
        """The names of the plans that callers may have."""
        if self.rates is not None:
            return self.rates.plans
        from sandql.access.plans import read_plans  # it takes a while to import, and one run needs none

        return read_plans({})

    async def admit(self, caller: Caller, act: Act, sandbox: str | None = None, id_: str | None = None) -> None:
        """Let a caller do something; nothing of it has begun. `sandbox` and `id_` say to what, where that is known.

        Raises:
            Forbidden: its role does not grant it.
            RateLimited: its plan does not admit one more now.
            ResourceError: the audit log is required, and cannot be written.
        """
        if self.rates is not None and act.kind is not None:  # first: what is refused for another reason costs as much to refuse
            await self.rates.spend(caller, act.kind, act.shown)
        if act.permission is not None and act.permission not in caller.permissions.allowed:
            text = f"needs the permission {act.permission}, which the role {caller.role!r} does not grant"
            # What is a part of others is not known by their names.
            raise Forbidden(f"{act.shown}: {text}") if act.kind is None else Forbidden(text, operation=act.shown)
        if self.audit is not None and (act.audited or caller.acting is not None):
            self.audit.admitted(caller, act.name, sandbox, id_)

    def refused(self, caller: Caller, act: Act, error: SandqlError, sandbox: str | None = None, id_: str | None = None) -> None:
        """Note that something was refused, by `admit` or later; not that it came too often, since a flood would fill the log."""
        if isinstance(error, RateLimited):
            return
        if self.audit is not None and (act.audited or caller.acting is not None or is_denial(error)):
            self.audit.refused(caller, act.name, sandbox, id_, error)
