"""The arguments that several fields share, with their descriptions."""

from __future__ import annotations

from typing import Annotated, TypeVar

import strawberry

from sandql.resolvers.operations import AskedFile, AskedLimits, ExecuteCode, RunCommand
from sandql.schema.enums import Encoding
from sandql.schema.scalars import ByteCount

Given = TypeVar("Given")


@strawberry.input(description="A variable of the program's environment.")
class EnvironmentVariable:
    """One of `env`."""

    name: str = strawberry.field(description="Letters, digits and underscores, not beginning with a digit; at most 128.")
    value: str = strawberry.field(description="Its value.")


@strawberry.input(description="A file that is put into the workspace before the run.")
class FileInput:
    """One of `files`."""

    path: str = strawberry.field(description="Relative to the workspace; its directories are made.")
    content: str = strawberry.field(description="The bytes, written as `encoding` says.")
    encoding: Encoding = strawberry.field(default=Encoding.UTF8, description="How `content` is to be read.")


@strawberry.input(description="What a run may use. A limit that is left out, or null, is the server's own; none can be raised above that.")
class LimitsInput:
    """The argument `limits`."""

    cpu_time: int | None = strawberry.field(default=strawberry.UNSET, description="CPU time, in milliseconds; as `timeout` when left out.")
    memory: ByteCount | None = strawberry.field(default=strawberry.UNSET, description="Memory, in bytes; at least 16 MiB.")
    processes: int | None = strawberry.field(default=strawberry.UNSET, description="Processes and threads at one time.")
    open_files: int | None = strawberry.field(default=strawberry.UNSET, description="Open files of each process.")
    workspace_bytes: ByteCount | None = strawberry.field(default=strawberry.UNSET, description="Bytes in the workspace.")
    workspace_inodes: int | None = strawberry.field(default=strawberry.UNSET, description="Files and directories in the workspace.")
    output_bytes: int | None = strawberry.field(
        default=strawberry.UNSET, description="Bytes kept of each of `output` and `stderr`; what is more is dropped, and `truncated` says so."
    )


Code = Annotated[str, strawberry.argument(description="The program.")]
LanguageName = Annotated[str, strawberry.argument(description="A name or an alias of `languages`, in any case of letters.")]
ProviderName = Annotated[str | None, strawberry.argument(description="A name of `providers`; the server's default provider when left out.")]
RunSandbox = Annotated[
    strawberry.ID | None,
    strawberry.argument(description='Where to run: a sandbox of the caller\'s, or "home"; a fresh sandbox, gone afterwards, when left out.'),
]
FileSandbox = Annotated[
    strawberry.ID | None, strawberry.argument(description='Whose files: a sandbox of the caller\'s, or "home", which is also meant when left out.')
]
FilePath = Annotated[str, strawberry.argument(description="A path in the workspace: relative, or below /workspace.")]
Owner = Annotated[
    strawberry.ID | None,
    strawberry.argument(
        description="Whose, for administrators who act as another caller; what they do so is in the audit log. One's own when left out."
    ),
]
Stdin = Annotated[str | None, strawberry.argument(description="What the program reads from standard input; empty when left out.")]
Args = Annotated[list[str] | None, strawberry.argument(description="The program's arguments.")]
Env = Annotated[list[EnvironmentVariable] | None, strawberry.argument(description="Variables added to the program's environment.")]
Files = Annotated[list[FileInput] | None, strawberry.argument(description="Files that are put into the workspace before the run.")]
Timeout = Annotated[int | None, strawberry.argument(description="Wall time of the run, in milliseconds; the server's own when left out.")]
RunLimits = Annotated[LimitsInput | None, strawberry.argument(description="What the run may use.")]
Artifacts = Annotated[
    list[str] | None, strawberry.argument(description="Paths or globs of files to bring back after the run, relative to the workspace.")
]


Interactive = Annotated[
    bool, strawberry.argument(description="Whether input stays open behind `stdin` for what `sendInput` sends, until `closeInput`.")
]
IdempotencyKey = Annotated[
    str | None,
    strawberry.argument(
        description="Up to 255 characters: the same key again gives the same answer and starts nothing; CONFLICT with other arguments."
    ),
]
ContextId = Annotated[
    strawberry.ID | None, strawberry.argument(description="The id of a context: the code runs there, with the variables of what ran before.")
]
TemplateName = Annotated[str | None, strawberry.argument(description='What the sandbox begins with, a name of `templates`; "default" when left out.')]
Argv = Annotated[list[str] | None, strawberry.argument(description="A program and its arguments, without a shell.")]
Line = Annotated[str | None, strawberry.argument(description="A line for the shell.")]


def given(value: Given | None) -> Given | None:
    """The value of an argument, or None where it was left out; `null` and left out are the same."""
    return None if value is strawberry.UNSET else value


def limits_asked(limits: LimitsInput | None) -> AskedLimits | None:
    """The limits as the resolvers take them."""
    if limits is None:
        return None
    return AskedLimits(
        cpu_ms=given(limits.cpu_time),
        memory_bytes=given(limits.memory),
        processes=given(limits.processes),
        open_files=given(limits.open_files),
        workspace_bytes=given(limits.workspace_bytes),
        workspace_inodes=given(limits.workspace_inodes),
        output_bytes=given(limits.output_bytes),
    )


def asked_execution(
    code: str,
    language: str,
    provider: str | None,
    sandbox_id: strawberry.ID | None,
    stdin: str | None,
    args: list[str] | None,
    env: list[EnvironmentVariable] | None,
    files: list[FileInput] | None,
    timeout: int | None,
    limits: LimitsInput | None,
    artifacts: list[str] | None,
    interactive: bool = False,
    template: str | None = None,
    context_id: strawberry.ID | None = None,
) -> ExecuteCode:
    """The arguments of `executeCode` as the resolvers take them; `timeout` is milliseconds."""
    return ExecuteCode(
        code=code,
        language=language,
        provider=given(provider),
        sandbox_id=given(sandbox_id),
        stdin=given(stdin),
        args=tuple(given(args) or ()),
        env=tuple((item.name, item.value) for item in given(env) or ()),
        files=tuple(AskedFile(item.path, item.content, item.encoding) for item in given(files) or ()),
        timeout_ms=given(timeout),
        limits=limits_asked(given(limits)),
        artifacts=tuple(given(artifacts) or ()),
        interactive=interactive,
        template=given(template),
        context_id=given(context_id),
    )


def asked_command(
    argv: list[str] | None,
    line: str | None,
    provider: str | None,
    sandbox_id: strawberry.ID | None,
    stdin: str | None,
    env: list[EnvironmentVariable] | None,
    files: list[FileInput] | None,
    timeout: int | None,
    limits: LimitsInput | None,
    artifacts: list[str] | None,
    interactive: bool,
    template: str | None,
) -> RunCommand:
    """The arguments of `runCommand` as the resolvers take them; `timeout` is milliseconds."""
    words = given(argv)
    return RunCommand(
        argv=None if words is None else tuple(words),
        line=given(line),
        provider=given(provider),
        sandbox_id=given(sandbox_id),
        stdin=given(stdin),
        env=tuple((item.name, item.value) for item in given(env) or ()),
        files=tuple(AskedFile(item.path, item.content, item.encoding) for item in given(files) or ()),
        timeout_ms=given(timeout),
        limits=limits_asked(given(limits)),
        artifacts=tuple(given(artifacts) or ()),
        interactive=interactive,
        template=given(template),
    )
