"""What a client can ask of executions, and do with them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from sandql.resolvers import code as code_resolvers
from sandql.resolvers import executions as resolvers
from sandql.resolvers.acting import acting_for
from sandql.schema.arguments import (
    Args,
    Argv,
    Artifacts,
    Code,
    ContextId,
    Env,
    Files,
    IdempotencyKey,
    Interactive,
    LanguageName,
    Line,
    Owner,
    ProviderName,
    RunLimits,
    RunSandbox,
    Stdin,
    TemplateName,
    Timeout,
    asked_command,
    asked_execution,
    given,
)
from sandql.schema.context import Info
from sandql.schema.enums import Encoding, ExecutionStatus, Signal
from sandql.schema.events import ExecutionEvent, logged_event
from sandql.schema.execution import ExecutionResult, execution_result
from sandql.schema.kept_executions import AfterEvent, Execution, ExecutionConnection, execution_connection, kept_execution
from sandql.schema.pages import After, First
from sandql.schema.requirements import needs

ExecutionId = Annotated[strawberry.ID, strawberry.argument(description="The id of an execution of the caller's.")]
OfSandbox = Annotated[strawberry.ID | None, strawberry.argument(description='Only those in this sandbox; "home" is one.')]
OfStatus = Annotated[ExecutionStatus | None, strawberry.argument(description="Only those of this status.")]
InputData = Annotated[str, strawberry.argument(description="The bytes, written as `encoding` says.")]
InputEncoding = Annotated[Encoding, strawberry.argument(description="How `data` is to be read.")]
SignalName = Annotated[Signal, strawberry.argument(description="What to send to the program and what it started; KILL ends it as CANCELLED.")]


@strawberry.type
class ExecutionQuery:
    """Fields of the query root that are about executions."""

    @strawberry.field(
        description="An execution that was started to outlive its client; null with the error NOT_FOUND where there is none.",
        metadata=needs(resolvers.find_execution),
    )
    async def execution(self, info: Info, id: ExecutionId, owner: Owner = strawberry.UNSET) -> Execution | None:
        asker = await acting_for(info.context.sandboxes, info.context.caller, given(owner))
        return kept_execution(await resolvers.find_execution(info.context.sandboxes, asker, id), asker)

    @strawberry.field(
        description="The caller's executions that were started to outlive their client, newest first.", metadata=needs(resolvers.list_executions)
    )
    async def executions(
        self,
        info: Info,
        first: First = 20,
        after: After = strawberry.UNSET,
        sandbox_id: OfSandbox = strawberry.UNSET,
        status: OfStatus = strawberry.UNSET,
        owner: Owner = strawberry.UNSET,
    ) -> ExecutionConnection:
        context = info.context
        asker = await acting_for(context.sandboxes, context.caller, given(owner))
        page = await resolvers.list_executions(context.sandboxes, asker, first, given(after), given(sandbox_id), given(status))
        return execution_connection(page, asker)


@strawberry.type
class ExecutionMutation:
    """Fields of the mutation root that are about executions."""

    @strawberry.mutation(
        description="Start a program and leave it to itself: it goes on when its client is gone, and its events are kept.",
        metadata=needs(code_resolvers.start),
    )
    async def start_execution(
        self,
        info: Info,
        code: Code,
        language: LanguageName,
        provider: ProviderName = strawberry.UNSET,
        sandbox_id: RunSandbox = strawberry.UNSET,
        stdin: Stdin = strawberry.UNSET,
        args: Args = strawberry.UNSET,
        env: Env = strawberry.UNSET,
        files: Files = strawberry.UNSET,
        timeout: Timeout = strawberry.UNSET,
        limits: RunLimits = strawberry.UNSET,
        artifacts: Artifacts = strawberry.UNSET,
        template: TemplateName = strawberry.UNSET,
        interactive: Interactive = False,
        context_id: ContextId = strawberry.UNSET,
        idempotency_key: IdempotencyKey = strawberry.UNSET,
    ) -> Execution:
        asked = asked_execution(
            code, language, provider, sandbox_id, stdin, args, env, files, timeout, limits, artifacts, interactive, template, context_id
        )
        context = info.context
        id_ = await code_resolvers.start(context.sandboxes, context.caller, asked, given(idempotency_key))
        return kept_execution(await resolvers.find_execution(context.sandboxes, context.caller, id_), context.caller)

    @strawberry.mutation(description="Run a command to its end: `argv` as it is, or a `line` by the shell.", metadata=needs(code_resolvers.execute))
    async def run_command(
        self,
        info: Info,
        argv: Argv = strawberry.UNSET,
        line: Line = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
        sandbox_id: RunSandbox = strawberry.UNSET,
        stdin: Stdin = strawberry.UNSET,
        env: Env = strawberry.UNSET,
        files: Files = strawberry.UNSET,
        timeout: Timeout = strawberry.UNSET,
        limits: RunLimits = strawberry.UNSET,
        artifacts: Artifacts = strawberry.UNSET,
        template: TemplateName = strawberry.UNSET,
        idempotency_key: IdempotencyKey = strawberry.UNSET,
    ) -> ExecutionResult:
        asked = asked_command(argv, line, provider, sandbox_id, stdin, env, files, timeout, limits, artifacts, False, template)
        context = info.context
        return execution_result(await code_resolvers.execute(context.sandboxes, context.caller, asked, given(idempotency_key)))

    @strawberry.mutation(
        description="Start a command and leave it to itself, as `startExecution` does a program.", metadata=needs(code_resolvers.start)
    )
    async def start_command(
        self,
        info: Info,
        argv: Argv = strawberry.UNSET,
        line: Line = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
        sandbox_id: RunSandbox = strawberry.UNSET,
        stdin: Stdin = strawberry.UNSET,
        env: Env = strawberry.UNSET,
        files: Files = strawberry.UNSET,
        timeout: Timeout = strawberry.UNSET,
        limits: RunLimits = strawberry.UNSET,
        artifacts: Artifacts = strawberry.UNSET,
        template: TemplateName = strawberry.UNSET,
        interactive: Interactive = False,
        idempotency_key: IdempotencyKey = strawberry.UNSET,
    ) -> Execution:
        asked = asked_command(argv, line, provider, sandbox_id, stdin, env, files, timeout, limits, artifacts, interactive, template)
        context = info.context
        id_ = await code_resolvers.start(context.sandboxes, context.caller, asked, given(idempotency_key))
        return kept_execution(await resolvers.find_execution(context.sandboxes, context.caller, id_), context.caller)

    @strawberry.mutation(
        description="Give bytes to the input of a program that was started as `interactive`. True when it has them, or an error.",
        metadata=needs(resolvers.send_input),
    )
    async def send_input(self, info: Info, id: ExecutionId, data: InputData, encoding: InputEncoding = Encoding.UTF8) -> bool:
        await resolvers.send_input(info.context.sandboxes, info.context.caller, id, data, encoding)
        return True

    @strawberry.mutation(
        description="Let a program read the end of its input, behind what was sent. True, or an error.", metadata=needs(resolvers.close_input)
    )
    async def close_input(self, info: Info, id: ExecutionId) -> bool:
        await resolvers.close_input(info.context.sandboxes, info.context.caller, id)
        return True

    @strawberry.mutation(description="Send a signal to a program that runs. Whether it still ran.", metadata=needs(resolvers.cancel_execution))
    async def cancel_execution(self, info: Info, id: ExecutionId, signal: SignalName = Signal.KILL, owner: Owner = strawberry.UNSET) -> bool:
        asker = await acting_for(info.context.sandboxes, info.context.caller, given(owner))
        return await resolvers.cancel_execution(info.context.sandboxes, asker, id, signal)


@strawberry.type
class ExecutionSubscription:
    """Fields of the subscription root that are about executions."""

    @strawberry.subscription(
        description="The events of an execution behind number `after`, each once and in order: those that there are, then those that come.",
        metadata=needs(resolvers.watch_execution),
    )
    async def execution_events(self, info: Info, id: ExecutionId, after: AfterEvent = 0) -> AsyncGenerator[ExecutionEvent]:
        async with aclosing(resolvers.watch_execution(info.context.sandboxes, info.context.caller, id, after)) as events:
            async for event in events:
                yield logged_event(event)
