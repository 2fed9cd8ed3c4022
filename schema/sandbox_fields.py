"""What a client can ask of sandboxes that last, and do with them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from sandql.resolvers import sandboxes as resolvers
from sandql.resolvers.acting import acting_for
from sandql.resolvers.operations import CreateSandbox
from sandql.schema.arguments import Env, IdempotencyKey, Owner, ProviderName, RunLimits, TemplateName, given, limits_asked
from sandql.schema.context import Info
from sandql.schema.enums import SandboxStatus
from sandql.schema.pages import After, First
from sandql.schema.requirements import needs
from sandql.schema.sandboxes import (
    Sandbox,
    SandboxConnection,
    SandboxEvent,
    Template,
    sandbox,
    sandbox_connection,
    sandbox_event,
    template,
)


@strawberry.input(description="A name and a value.")
class MetadataInput:
    """One of `metadata`."""

    name: str = strawberry.field(description="Letters, digits, dots, dashes and underscores; at most 128.")
    value: str = strawberry.field(description="Its value; at most 4,096 bytes.")


SandboxId = Annotated[strawberry.ID, strawberry.argument(description="The id of a sandbox of the caller's.")]
LifeTime = Annotated[
    int | None, strawberry.argument(description="How long it lives without work, in milliseconds; the server's own time when left out.")
]
Name = Annotated[
    str | None,
    strawberry.argument(description="A name of its own: the same name again gives the same sandbox, or CONFLICT where other arguments came with it."),
]
Noted = Annotated[list[MetadataInput] | None, strawberry.argument(description="What to note with it, to find it by.")]
Statuses = Annotated[list[SandboxStatus] | None, strawberry.argument(description="Only those of these statuses.")]
With = Annotated[list[MetadataInput] | None, strawberry.argument(description="Only those that have all of this metadata.")]


def _pairs(metadata: list[MetadataInput] | None) -> tuple[tuple[str, str], ...]:
    return tuple((item.name, item.value) for item in given(metadata) or ())


@strawberry.type
class SandboxQuery:
    """Fields of the query root that are about sandboxes."""

    @strawberry.field(
        description='A sandbox of the caller\'s, "home" included; null with the error NOT_FOUND where there is none.',
        metadata=needs(resolvers.find_sandbox),
    )
    async def sandbox(self, info: Info, id: SandboxId, owner: Owner = strawberry.UNSET) -> Sandbox | None:
        asker = await acting_for(info.context.sandboxes, info.context.caller, given(owner))
        return sandbox(await resolvers.find_sandbox(info.context.sandboxes, asker, id), asker)

    @strawberry.field(
        description="The caller's sandboxes, newest first; those that have ended are known for some time. The home is not among them.",
        metadata=needs(resolvers.list_sandboxes),
    )
    async def sandboxes(
        self,
        info: Info,
        first: First = 20,
        after: After = strawberry.UNSET,
        status: Statuses = strawberry.UNSET,
        metadata: With = strawberry.UNSET,
        owner: Owner = strawberry.UNSET,
    ) -> SandboxConnection:
        context = info.context
        asker = await acting_for(context.sandboxes, context.caller, given(owner))
        page = await resolvers.list_sandboxes(context.sandboxes, asker, first, given(after), given(status) or (), _pairs(metadata))
        return sandbox_connection(page, asker)

    @strawberry.field(description="What a sandbox can begin with.")
    def templates(self, info: Info, provider: ProviderName = strawberry.UNSET) -> list[Template]:
        return [template(item) for item in resolvers.list_templates(info.context.sandboxes, info.context.caller, given(provider))]


@strawberry.type
class SandboxMutation:
    """Fields of the mutation root that are about sandboxes."""

    @strawberry.mutation(description="Make a sandbox that lasts until it has had no work for its time.", metadata=needs(resolvers.create_sandbox))
    async def create_sandbox(
        self,
        info: Info,
        provider: ProviderName = strawberry.UNSET,
        template: TemplateName = strawberry.UNSET,
        name: Name = strawberry.UNSET,
        timeout: LifeTime = strawberry.UNSET,
        limits: RunLimits = strawberry.UNSET,
        metadata: Noted = strawberry.UNSET,
        env: Env = strawberry.UNSET,
        idempotency_key: IdempotencyKey = strawberry.UNSET,
    ) -> Sandbox:
        asked = CreateSandbox(
            provider=given(provider),
            template=given(template),
            name=given(name),
            timeout_ms=given(timeout),
            limits=limits_asked(given(limits)),
            metadata=_pairs(metadata),
            env=tuple((item.name, item.value) for item in given(env) or ()),
        )
        return sandbox(
            await resolvers.create_sandbox(info.context.sandboxes, info.context.caller, asked, given(idempotency_key)), info.context.caller
        )

    @strawberry.mutation(description="Let a sandbox live so long from now on, and as long after each work.", metadata=needs(resolvers.extend_sandbox))
    async def extend_sandbox(self, info: Info, id: SandboxId, timeout: LifeTime = strawberry.UNSET) -> Sandbox:
        return sandbox(await resolvers.extend_sandbox(info.context.sandboxes, info.context.caller, id, given(timeout)), info.context.caller)

    @strawberry.mutation(
        description="End a sandbox, what runs in it and its files. True, also when it had ended.", metadata=needs(resolvers.destroy_sandbox)
    )
    async def destroy_sandbox(self, info: Info, id: SandboxId, owner: Owner = strawberry.UNSET) -> bool:
        asker = await acting_for(info.context.sandboxes, info.context.caller, given(owner))
        await resolvers.destroy_sandbox(info.context.sandboxes, asker, id)
        return True


@strawberry.type
class SandboxSubscription:
    """Fields of the subscription root that are about sandboxes."""

    @strawberry.subscription(
        description="What becomes of a sandbox from now on, up to its end; EXPIRING comes some time before it ends by itself.",
        metadata=needs(resolvers.watch_sandbox),
    )
    async def sandbox_events(self, info: Info, id: SandboxId) -> AsyncGenerator[SandboxEvent]:
        async with aclosing(resolvers.watch_sandbox(info.context.sandboxes, info.context.caller, id)) as notices:
            async for notice in notices:
                yield sandbox_event(notice, info.context.caller)
