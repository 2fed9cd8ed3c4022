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
    ContextId,
    Env,
    Files,
    LanguageName,
    ProviderName,
    RunLimits,
    RunSandbox,
    Stdin,
    TemplateName,
    Timeout,
    asked_execution,
)
from sandql.schema.context import Info
from sandql.schema.events import ExecutionEvent, execution_events
from sandql.schema.execution_fields import ExecutionSubscription
from sandql.schema.file_fields import FileSubscription
from sandql.schema.requirements import needs
from sandql.schema.sandbox_fields import SandboxSubscription
from sandql.schema.terminal_fields import TerminalSubscription
from sandql.schema.usage import UsageSubscription


@strawberry.type(description="What a client can watch as it happens.")
class Subscription(FileSubscription, SandboxSubscription, ExecutionSubscription, TerminalSubscription, UsageSubscription):
    """The subscription root."""

    @strawberry.subscription(
        description="Run a program and watch it. Unsubscribing, or going away, ends the run.", metadata=needs(code_resolvers.stream_code)
    )
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
        template: TemplateName = strawberry.UNSET,
        context_id: ContextId = strawberry.UNSET,
    ) -> AsyncGenerator[ExecutionEvent]:
        asked = asked_execution(
            code, language, provider, sandbox_id, stdin, args, env, files, timeout, limits, artifacts, False, template, context_id
        )
        source = code_resolvers.stream_code(info.context.sandboxes, info.context.caller, asked)
        async with aclosing(execution_events(source)) as events:
            async for event in events:
                yield event
