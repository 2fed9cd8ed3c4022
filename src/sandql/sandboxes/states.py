"""A kept sandbox's states: which may follow which, and the only function that changes them.

CREATING ─→ RUNNING ⇄ IDLE ─→ DESTROYED   its owner or its time ended it
    │           └──────┴────→ LOST        it is gone, and nobody asked for that
    └─────────→ DESTROYED                 it could not be made
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.core.kept import SandboxStatus
from sandql.store import sandbox_rows

BEFORE: Final = MappingProxyType(
    {
        SandboxStatus.CREATING: frozenset[SandboxStatus](),
        SandboxStatus.RUNNING: frozenset({SandboxStatus.CREATING, SandboxStatus.IDLE}),
        SandboxStatus.IDLE: frozenset({SandboxStatus.RUNNING}),
        SandboxStatus.DESTROYED: frozenset({SandboxStatus.CREATING, SandboxStatus.RUNNING, SandboxStatus.IDLE}),
        SandboxStatus.LOST: frozenset({SandboxStatus.RUNNING, SandboxStatus.IDLE}),
    }
)
LIVING: Final = frozenset({SandboxStatus.RUNNING, SandboxStatus.IDLE})
ENDED: Final = frozenset({SandboxStatus.DESTROYED, SandboxStatus.LOST})


async def move(connection: AsyncConnection, id_: str, to: SandboxStatus, now: float, **values: Any) -> bool:
    """Bring a sandbox into a state, if it is in one from which that may follow; whether it was. `values` are written with it."""
    if to in ENDED:
        values["ended_at"] = now
    return await sandbox_rows.change(connection, id_, BEFORE[to], status=to, **values)
