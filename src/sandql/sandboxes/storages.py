"""Who keeps how much: each caller's sandboxes on this server, together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final
from weakref import WeakValueDictionary

from sandql.core.amounts import UNBOUNDED
from sandql.core.kept import KeptSandbox
from sandql.core.values import Caller
from sandql.providers.base import Provider
from sandql.usage.plans import Quota
from sandql.usage.storage import Share, Storage

_KNOWN: Final = 1024  # callers of whom what was counted is not forgotten, though nobody has a sandbox of theirs lent


class Storages:
    """What all callers keep whose plans bound it. `kept` are all kept sandboxes that live on this server."""

    def __init__(
        self, quota_of: Callable[[Caller], Quota | None], providers: Mapping[str, Provider], kept: Callable[[], Iterable[KeptSandbox]]
    ) -> None:
        self._quota_of = quota_of
        self._providers = providers
        self._kept = kept
        self._storages: WeakValueDictionary[str, Storage] = WeakValueDictionary()
        self._recent: deque[Storage] = deque(maxlen=_KNOWN)

    def of(self, caller: Caller) -> Storage | None:
        """What a caller keeps now; None where its plan does not bound that, or who acts as it does not know its plan.

        Raises Forbidden: nobody knows the plan.
        """
        storage = self._storages.get(caller.subject)
        if caller.acting is None:
            quota = self._quota_of(caller)
            if quota is None or quota.storage_bytes >= UNBOUNDED:
                return None
            if storage is None:
                storage = self._storages[caller.subject] = Storage(quota.storage_bytes)
                self._recent.append(storage)
            storage.most_bytes = quota.storage_bytes  # the newest plan holds
        if storage is None:
            return None
        homes = [(provider.name, provider.home_ref(caller.subject)) for provider in self._providers.values()]
        kept = [(row.provider, row.ref) for row in self._kept() if row.owner == caller.subject and row.provider in self._providers]
        storage.hold({_named(name, ref): self._providers[name].holding(ref) for name, ref in (*homes, *kept)})
        return storage

    def share(self, caller: Caller, provider: str, ref: str) -> Share | None:
        """The part of one sandbox in it, which is the caller's. Raises as `of`."""
        storage = self.of(caller)
        return None if storage is None else storage.share(_named(provider, ref))


def _named(provider: str, ref: str) -> str:
    return f"{provider}/{ref}"
