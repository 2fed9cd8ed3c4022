"""What a caller used, and what is left of its quota, as a client sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

import strawberry

from sandql.resolvers import usage as resolvers
from sandql.resolvers.usage import QuotaPart, UsageBy, UsageSum
from sandql.schema.arguments import given
from sandql.schema.context import Info
from sandql.schema.requirements import needs
from sandql.schema.scalars import ByteCount

FirstDay = Annotated[
    str | None, strawberry.argument(name="from", description="The first day in UTC, as 2026-01-31; 29 days before the last when left out.")
]
LastDay = Annotated[
    str | None, strawberry.argument(description="The last day in UTC, which is included; today when left out. At most 366 days in all.")
]
By = Annotated[UsageBy, strawberry.argument(description="What it is summed up by.")]


@strawberry.type(description="What was used, summed up.")
class Usage:
    """See `sandql.resolvers.usage.UsageSum`."""

    key: str = strawberry.field(description="The day, the provider or the language.")
    executions: float = strawberry.field(description="How many runs, terminals and pieces of code in contexts; a whole number.")
    cpu_seconds: float = strawberry.field(description="CPU time.")
    memory_mb_seconds: float = strawberry.field(
        name="memoryMBSeconds", description="The most memory that each held, in MB (2^20 bytes), times its wall time."
    )
    wall_seconds: float = strawberry.field(description="Wall time.")
    bytes_stored: ByteCount = strawberry.field(description="Bytes that were written into files through the API.")
    bytes_sent: ByteCount = strawberry.field(description="Bytes of files that were read through the API.")


@strawberry.type(description="One bound of the caller's quota.")
class Quota:
    """See `sandql.resolvers.usage.QuotaPart`."""

    resource: str = strawberry.field(description="Which: maxExecutions, maxCpuSeconds, maxMemoryMBSeconds or maxStorageMB.")
    limit: float = strawberry.field(description="The most that may be used in a period; of storage, that may be kept.")
    used: float = strawberry.field(description="What is used of it.")
    reserved: float = strawberry.field(description="What is set aside for what runs now.")
    resets_at: datetime | None = strawberry.field(
        description="When the period ends, and nothing is used of the next one; null for storage, which is used until it is removed."
    )


def _usage(value: UsageSum) -> Usage:
    used = value.used
    return Usage(
        key=value.key,
        executions=used.executions,
        cpu_seconds=used.cpu_ms / 1000,
        memory_mb_seconds=used.memory_mb_ms / 1000,
        wall_seconds=used.wall_ms / 1000,
        bytes_stored=ByteCount(used.bytes_stored),
        bytes_sent=ByteCount(used.bytes_sent),
    )


def _quota(value: QuotaPart) -> Quota:
    return Quota(
        resource=value.resource,
        limit=value.limit,
        used=value.used,
        reserved=value.reserved,
        resets_at=None if value.resets_at is None else datetime.fromtimestamp(value.resets_at, UTC),
    )


@strawberry.type
class UsageFields:
    """Fields of `viewer` that are about usage."""

    @strawberry.field(
        description="What the caller used in some days; what ended just now is in it.",
        metadata=needs(resolvers.find_usage),
    )
    async def usage(self, info: Info, first: FirstDay = strawberry.UNSET, to: LastDay = strawberry.UNSET, by: By = UsageBy.DAY) -> list[Usage]:
        found = await resolvers.find_usage(info.context.sandboxes, info.context.caller, given(first), given(to), by)
        return [_usage(item) for item in found]

    @strawberry.field(
        description="The bounds of the caller's quota, and what is left of them; empty for a plan without one.", metadata=needs(resolvers.find_quota)
    )
    async def quota(self, info: Info) -> list[Quota]:
        return [_quota(item) for item in await resolvers.find_quota(info.context.sandboxes, info.context.caller)]


@strawberry.type
class UsageSubscription:
    """Fields of the subscription root that are about usage."""

    @strawberry.subscription(
        description="What the caller has used today: now, and after runs on this server ended, at most once a second.",
        metadata=needs(resolvers.watch_usage),
    )
    async def usage_updated(self, info: Info) -> AsyncGenerator[Usage]:
        async with aclosing(resolvers.watch_usage(info.context.sandboxes, info.context.caller)) as sums:
            async for item in sums:
                yield _usage(item)
