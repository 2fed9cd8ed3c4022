"""What a client can watch."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import strawberry

from sandql.resolvers import code as code_resolvers
from sandql.schema.arguments import (
    Args,
    Artifacts,
    Code,
    Env,
    Files,
    LanguageName,
    ProviderName,
    RunLimits,
    RunSandbox,
    Stdin,
    Timeout,
    asked_execution,
)
from sandql.schema.context import Info
from sandql.schema.events import ExecutionEvent, execution_events


@strawberry.type(description="What a client can watch as it happens.")
class Subscription:
    """The subscription root."""

    @strawberry.subscription(description="Run a program and watch it. Unsubscribing, or going away, ends the run.")
    async def execute_code(
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
    ) -> AsyncGenerator[ExecutionEvent]:
        asked = asked_execution(code, language, provider, sandbox_id, stdin, args, env, files, timeout, limits, artifacts)
        context = info.context
        async with aclosing(execution_events(code_resolvers.stream_code(context.sandboxes, context.caller, asked))) as events:
            async for event in events:
                yield event
