"""Sandboxes that last."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Final

from sandql.core.errors import BadRequest
from sandql.core.kept import DEFAULT_TEMPLATE, KeptSandbox, SandboxSpec, SandboxStatus, Template
from sandql.core.limits import widest_limits
from sandql.core.permissions import Kind, Permission
from sandql.core.settings import Settings
from sandql.core.values import HOME, Caller
from sandql.resolvers.bounds import check_env, check_limits, encode
from sandql.resolvers.guard import guarded, guarded_stream
from sandql.resolvers.operations import CreateSandbox
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.idempotency import fingerprint
from sandql.sandboxes.kept import Wish
from sandql.sandboxes.new_ids import sandbox_id
from sandql.sandboxes.notices import Notice
from sandql.store.paging import Page

MAX_FIRST: Final = 100
MAX_METADATA: Final = 32
MAX_METADATA_BYTES: Final = 4096
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


@guarded(Kind.SANDBOX, Permission.CREATE_SANDBOX)
async def create_sandbox(sandboxes: Sandboxes, caller: Caller, asked: CreateSandbox, key: str | None = None) -> KeptSandbox:
    """Make a sandbox that lasts, or find the caller's own of the same name. Raises SandqlError."""
    wish = _check(asked, sandboxes, caller)
    durable = sandboxes.durable
    async with durable.keys.once(caller, key, "CreateSandbox", asdict(asked), sandbox_id) as claim:
        create = durable.kept.create if claim.new else durable.kept.create_again
        made = await create(caller, wish, claim.id)
        if key is not None and made.id != claim.id:  # there was one of that name
            await durable.keys.point(caller, key, made.id)
        return made


@guarded(Kind.QUERY)
async def find_sandbox(sandboxes: Sandboxes, caller: Caller, id_: str) -> KeptSandbox:
    """The caller's sandbox of that id, its home included. Raises NotFound."""
    if id_ != HOME:
        return await sandboxes.durable.kept.find(caller, id_)
    async with sandboxes.borrow(caller, HOME) as lease:
        settings = sandboxes.settings
        made = await lease.sandbox.files.stat("")
        return KeptSandbox(
            id=HOME,
            owner=caller.subject,
            provider=lease.provider.name,
            server="",
            ref="",
            name=None,
            status=SandboxStatus.RUNNING,
            created_at=made.modified_at,
            worked_at=time.time(),  # to look at it is to use it
            timeout_ms=settings.home_idle_s * 1000,
            ended_at=None,
            spec=SandboxSpec(limits=widest_limits(settings)),
        )


@guarded(Kind.QUERY)
async def list_sandboxes(
    sandboxes: Sandboxes,
    caller: Caller,
    first: int,
    after: str | None,
    statuses: Sequence[SandboxStatus] = (),
    metadata: Sequence[tuple[str, str]] = (),
) -> Page[KeptSandbox]:
    """Some of the caller's sandboxes, newest first. Raises BadRequest."""
    return await sandboxes.durable.kept.page(caller, check_first(first), after, statuses, _check_metadata(tuple(metadata)))


@guarded(Kind.SANDBOX, Permission.CREATE_SANDBOX)
async def extend_sandbox(sandboxes: Sandboxes, caller: Caller, id_: str, timeout_ms: int | None) -> KeptSandbox:
    """Let a sandbox live so long from now on, and as long after each work. Raises NotFound, BadRequest."""
    _refuse_home(id_)
    return await sandboxes.durable.kept.extend(caller, id_, _check_timeout(timeout_ms, sandboxes.settings))


@guarded(Kind.QUERY, Permission.CREATE_SANDBOX)
async def destroy_sandbox(sandboxes: Sandboxes, caller: Caller, id_: str) -> None:
    """End a sandbox and what runs in it; nothing happens when it has ended. Raises NotFound, BadRequest."""
    _refuse_home(id_)
    await sandboxes.durable.kept.destroy(caller, id_)


@guarded_stream(Kind.QUERY)
async def watch_sandbox(sandboxes: Sandboxes, caller: Caller, id_: str) -> AsyncGenerator[Notice]:
    """What becomes of a sandbox from now on, up to its end. Raises NotFound, BadRequest."""
    _refuse_home(id_)
    async with aclosing(sandboxes.durable.kept.watch(caller, id_)) as notices:
        async for notice in notices:
            yield notice


def list_templates(sandboxes: Sandboxes, caller: Caller, provider: str | None) -> Sequence[Template]:
    """The templates of a provider, the default one for None. Raises BadRequest, Forbidden."""
    return sandboxes.provider(caller, provider).templates()


def check_first(first: int) -> int:
    """How many items a page may have. Raises BadRequest."""
    if not 1 <= first <= MAX_FIRST:
        raise BadRequest(f"first: must be from 1 to {MAX_FIRST}, got {first}")
    return first


def _check(asked: CreateSandbox, sandboxes: Sandboxes, caller: Caller) -> Wish:
    settings = sandboxes.settings
    provider = sandboxes.provider(caller, asked.provider)
    if asked.name is not None and not _NAME.match(asked.name):
        raise BadRequest(f"name: must match {_NAME.pattern[:-2]}, got {asked.name[:100]!r}")
    if asked.template is not None and not _NAME.match(asked.template):  # before it is kept
        raise BadRequest(f"template: must match {_NAME.pattern[:-2]}, got {asked.template[:100]!r}")
    limits = check_limits(caller, asked.limits, None, settings, of_sandbox=True)
    spec = SandboxSpec(asked.template or DEFAULT_TEMPLATE, limits, check_env(asked.env))
    metadata = _check_metadata(asked.metadata)
    as_asked = replace(asked, provider=provider.name, template=spec.template, metadata=_sorted(metadata), env=_sorted(spec.env))
    timeout_ms = _check_timeout(asked.timeout_ms, settings)
    return Wish(provider.name, spec, timeout_ms, fingerprint("CreateSandbox", asdict(as_asked)), asked.name, metadata)


def _sorted(pairs: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(pairs.items()))


def _check_timeout(timeout_ms: int | None, settings: Settings) -> int:
    most = settings.max_sandbox_timeout_ms
    if timeout_ms is None:
        return min(settings.sandbox_timeout_ms, most)
    if not 1 <= timeout_ms <= most:
        raise BadRequest(f"timeout: must be from 1 to {most} milliseconds, got {timeout_ms}")
    return timeout_ms


def _check_metadata(metadata: tuple[tuple[str, str], ...]) -> MappingProxyType[str, str]:
    if len(metadata) > MAX_METADATA:
        raise BadRequest(f"metadata: at most {MAX_METADATA}, got {len(metadata)}")
    for name, value in metadata:
        if not _NAME.match(name):
            raise BadRequest(f"metadata: a name must match {_NAME.pattern[:-2]}, got {name[:100]!r}")
        encode(f"metadata.{name}", value, MAX_METADATA_BYTES)
        if "\0" in value:
            raise BadRequest(f"metadata.{name}: holds a NUL character")
    return MappingProxyType(dict(metadata))


def _refuse_home(id_: str) -> None:
    if id_ == HOME:
        raise BadRequest("id: a home has no lifetime of its own; its files go when it has not been used for long")
