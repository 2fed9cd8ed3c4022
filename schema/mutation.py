"""What a client can do."""

from __future__ import annotations

import strawberry

from sandql.resolvers import code as code_resolvers
from sandql.schema.api_key_fields import ApiKeyMutation
from sandql.schema.arguments import (
    Args,
    Artifacts,
    Code,
    ContextId,
    Env,
    Files,
    IdempotencyKey,
    LanguageName,
    ProviderName,
    RunLimits,
    RunSandbox,
    Stdin,
    TemplateName,
    Timeout,
    asked_execution,
    given,
)
from sandql.schema.context import Info
from sandql.schema.context_fields import ContextMutation
from sandql.schema.execution import ExecutionResult, execution_result
from sandql.schema.execution_fields import ExecutionMutation
from sandql.schema.file_fields import FileMutation
from sandql.schema.requirements import needs
from sandql.schema.sandbox_fields import SandboxMutation
from sandql.schema.terminal_fields import TerminalMutation


@strawberry.type(description="What a client can do.")
class Mutation(FileMutation, SandboxMutation, ExecutionMutation, TerminalMutation, ContextMutation, ApiKeyMutation):
    """The mutation root."""

    @strawberry.mutation(
        description="Run a program to its end. A program that fails, or that the server ends, is an answer and not an error.",
        metadata=needs(code_resolvers.execute),
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
        idempotency_key: IdempotencyKey = strawberry.UNSET,
    ) -> ExecutionResult:
        asked = asked_execution(
            code, language, provider, sandbox_id, stdin, args, env, files, timeout, limits, artifacts, False, template, context_id
        )
        context = info.context
        return execution_result(await code_resolvers.execute(context.sandboxes, context.caller, asked, given(idempotency_key)))
