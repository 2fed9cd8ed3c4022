"""The most that runs and sandboxes may use here."""

from __future__ import annotations

from dataclasses import astuple

from sandql.core.settings import Settings
from sandql.core.values import Limits


def widest_limits(settings: Settings) -> Limits:
    """The most that any run may have."""
    return Limits(
        wall_ms=settings.max_wall_ms,
        cpu_ms=settings.max_wall_ms,
        memory_bytes=settings.memory_bytes,
        processes=settings.processes,
        open_files=settings.open_files,
        workspace_bytes=settings.workspace_bytes,
        workspace_inodes=settings.workspace_inodes,
        output_bytes=settings.output_bytes,
        output_hard_bytes=settings.output_hard_bytes,
    )


def lesser(one: Limits, other: Limits) -> Limits:
    """Of each limit the lesser one."""
    return Limits(*map(min, astuple(one), astuple(other)))
