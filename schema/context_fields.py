"""What a client can ask of contexts, and do with them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import strawberry

from sandql.core import contexts
from sandql.resolvers import contexts as resolvers
from sandql.resolvers.acting import acting_for
from sandql.resolvers.operations import CreateContext
from sandql.schema.arguments import Env, FileSandbox, IdempotencyKey, Owner, ProviderName, RunLimits, given, limits_asked
from sandql.schema.context import Info
from sandql.schema.enums import ContextStatus
from sandql.schema.requirements import needs

ContextName = Annotated[strawberry.ID, strawberry.argument(description="The id of a context of the caller's.")]
ContextLanguage = Annotated[str, strawberry.argument(description='"python" or "javascript", or an alias of one.')]
OfSandbox = Annotated[strawberry.ID | None, strawberry.argument(description='Only those in this sandbox; "home" is one.')]


@strawberry.type(description="A session that keeps its variables between one `executeCode` and the next.")
class Context:
    """See `sandql.core.contexts.ContextInfo`."""

    id: strawberry.ID = strawberry.field(description="Its id, which nobody guesses.")
    sandbox_id: strawberry.ID = strawberry.field(description="Where its code runs.")
    language: str = strawberry.field(description="What its code is written in.")
    status: ContextStatus = strawberry.field(description="What it does.")
    created_at: datetime = strawberry.field(description="When it was opened.")


def _context(value: contexts.ContextInfo) -> Context:
    return Context(
        id=strawberry.ID(value.id),
        sandbox_id=strawberry.ID(value.sandbox_id),
        language=value.language,
        status=value.status,
        created_at=datetime.fromtimestamp(value.created_at, UTC),
    )


@strawberry.type
class ContextQuery:
    """Fields of the query root that are about contexts."""

    @strawberry.field(
        description="A context of the caller's; null with the error NOT_FOUND where there is none.", metadata=needs(resolvers.find_context)
    )
    async def context(self, info: Info, id: ContextName) -> Context | None:
        return _context(await resolvers.find_context(info.context.sandboxes, info.context.caller, id))

    @strawberry.field(description="The caller's contexts, oldest first.", metadata=needs(resolvers.list_contexts))
    async def contexts(self, info: Info, sandbox_id: OfSandbox = strawberry.UNSET, owner: Owner = strawberry.UNSET) -> list[Context]:
        asker = await acting_for(info.context.sandboxes, info.context.caller, given(owner))
        return [_context(item) for item in await resolvers.list_contexts(info.context.sandboxes, asker, given(sandbox_id))]


@strawberry.type
class ContextMutation:
    """Fields of the mutation root that are about contexts."""

    @strawberry.mutation(
        description="Open a context in a sandbox; give its id to `executeCode`. It ends when it has not been used for some time.",
        metadata=needs(resolvers.create_context),
    )
    async def create_context(
        self,
        info: Info,
        language: ContextLanguage,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
        env: Env = strawberry.UNSET,
        limits: RunLimits = strawberry.UNSET,
        idempotency_key: IdempotencyKey = strawberry.UNSET,
    ) -> Context:
        asked = CreateContext(
            language=language,
            sandbox_id=given(sandbox_id),
            provider=given(provider),
            env=tuple((item.name, item.value) for item in given(env) or ()),
            limits=limits_asked(given(limits)),
        )
        return _context(await resolvers.create_context(info.context.sandboxes, info.context.caller, asked, given(idempotency_key)))

    @strawberry.mutation(
        description="Interrupt what runs in a context; its variables stay. Whether anything ran.", metadata=needs(resolvers.interrupt_context)
    )
    async def interrupt_context(self, info: Info, id: ContextName) -> bool:
        return await resolvers.interrupt_context(info.context.sandboxes, info.context.caller, id)

    @strawberry.mutation(
        description="Begin a context anew, without its variables and with the limits that its owner has now; what runs in it ends.",
        metadata=needs(resolvers.restart_context),
    )
    async def restart_context(self, info: Info, id: ContextName) -> Context:
        return _context(await resolvers.restart_context(info.context.sandboxes, info.context.caller, id))

    @strawberry.mutation(description="End a context. True, or an error.", metadata=needs(resolvers.close_context))
    async def close_context(self, info: Info, id: ContextName, owner: Owner = strawberry.UNSET) -> bool:
        asker = await acting_for(info.context.sandboxes, info.context.caller, given(owner))
        await resolvers.close_context(info.context.sandboxes, asker, id)
        return True
