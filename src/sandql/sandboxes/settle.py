"""Bringing the rows of a server's sandboxes and what there really is together, when it starts."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.core.errors import SandqlError
from sandql.core.kept import KeptSandbox, SandboxStatus
from sandql.core.limits import lesser
from sandql.core.values import Limits
from sandql.providers.base import Provider
from sandql.sandboxes.kept import KeptSandboxes, Live
from sandql.sandboxes.states import move
from sandql.store import key_rows, sandbox_rows
from sandql.store.store import Store

_log: Final = structlog.get_logger()


async def settle(kept: KeptSandboxes, database: Store, server: str, providers: Mapping[str, Provider], most: Limits) -> None:
    """Find the sandboxes of this server again, before any is lent; what was allowed when they were made, and is no more, they lose.

    One whose making was cut off has ended, and so has one that is gone. What has expired, and what is there without a row of any server,
    is left to the reaper. Of a provider that cannot say what there is, all is taken to be there.
    """
    rows = await database.read(lambda connection: sandbox_rows.living(connection, server))
    there = {name: await _existing(provider) for name, provider in providers.items()}
    cut_off = [row for row in rows if row.status is SandboxStatus.CREATING]
    lost = [row for row in rows if row not in cut_off and (refs := there.get(row.provider)) is not None and row.ref not in refs]
    ended = {row.id for row in (*cut_off, *lost)}
    await database.write(lambda connection: _write_down(connection, cut_off, lost))
    for row in lost:
        _log.warning("a sandbox is gone", sandbox=row.id, provider=row.provider)
    kept.live.update({row.id: Live(_within(row, most), row.worked_at) for row in rows if row.id not in ended})
    for name, refs in there.items():
        known = await database.read(lambda connection, name=name: sandbox_rows.living_refs(connection, name))
        kept.strays += [(name, ref) for ref in refs or () if ref not in known]


def _within(row: KeptSandbox, most: Limits) -> KeptSandbox:
    return replace(row, spec=replace(row.spec, limits=lesser(row.spec.limits, most)))


async def _existing(provider: Provider) -> Collection[str] | None:
    try:
        return await provider.existing()
    except SandqlError as error:
        _log.warning("a provider cannot say which sandboxes there are", provider=provider.name, error=error.message)
        return None


async def _write_down(connection: AsyncConnection, cut_off: Collection[KeptSandbox], lost: Collection[KeptSandbox]) -> None:
    now = time.time()
    for row in cut_off:
        await move(connection, row.id, SandboxStatus.DESTROYED, now)
        await key_rows.free_all(connection, row.id)  # whoever asks again gets one
    for row in lost:
        await move(connection, row.id, SandboxStatus.LOST if row.timeout_ms else SandboxStatus.DESTROYED, now)  # it was being ended
