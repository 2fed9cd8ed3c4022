"""What a client can do."""

from __future__ import annotations

from typing import Annotated

import strawberry

from sandql.resolvers import code as code_resolvers
from sandql.resolvers import files as file_resolvers
from sandql.schema.arguments import (
    Args,
    Artifacts,
    Code,
    Env,
    FilePath,
    Files,
    FileSandbox,
    LanguageName,
    ProviderName,
    RunLimits,
    RunSandbox,
    Stdin,
    Timeout,
    asked_execution,
    given,
)
from sandql.schema.context import Info
from sandql.schema.enums import Encoding
from sandql.schema.execution import ExecutionResult, execution_result
from sandql.schema.scalars import Upload

Content = Annotated[str, strawberry.argument(description="The bytes, written as `encoding` says.")]
ContentEncoding = Annotated[Encoding, strawberry.argument(description="How `content` is to be read.")]
UploadedFile = Annotated[Upload, strawberry.argument(description="The file, as a part of a multipart request.")]


@strawberry.type(description="What a client can do.")
class Mutation:
    """The mutation root."""

    @strawberry.mutation(description="Run a program to its end. A program that fails, or that the server ends, is an answer and not an error.")
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
    ) -> ExecutionResult:
        asked = asked_execution(code, language, provider, sandbox_id, stdin, args, env, files, timeout, limits, artifacts)
        context = info.context
        return execution_result(await code_resolvers.execute_code(context.sandboxes, context.caller, asked))

    @strawberry.mutation(description="Write a file whole, making its directories. True, or an error.")
    async def write_file(
        self,
        info: Info,
        path: FilePath,
        content: Content,
        encoding: ContentEncoding = Encoding.UTF8,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
    ) -> bool:
        context = info.context
        await file_resolvers.write_file(
            context.sandboxes,
            context.caller,
            path,
            content,
            encoding=encoding,
            provider=given(provider),
            sandbox_id=given(sandbox_id),
        )
        return True

    @strawberry.mutation(description="Write a file from a part of a multipart request, making its directories. True, or an error.")
    async def upload_file(
        self,
        info: Info,
        path: FilePath,
        file: UploadedFile,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
    ) -> bool:
        context = info.context
        await file_resolvers.write_file(context.sandboxes, context.caller, path, file, provider=given(provider), sandbox_id=given(sandbox_id))
        return True
