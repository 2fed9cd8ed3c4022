"""What a run answers with."""

from __future__ import annotations

import strawberry

from sandql.core import values
from sandql.schema.enums import Encoding, Outcome
from sandql.schema.files import FileContent, file_content


@strawberry.type(description="What really stands between a run and the host.")
class Isolation:
    """See `sandql.core.values.Isolation`."""

    level: str = strawberry.field(description='"full" when every layer of the provider\'s design is in force, else "reduced".')
    namespaces: list[str] = strawberry.field(description="The kernel namespaces that the run has to itself.")
    seccomp: bool = strawberry.field(description="Whether system calls are filtered.")
    landlock: int = strawberry.field(description="The kernel's Landlock ABI number in use; 0 where there is none.")
    cgroup: str = strawberry.field(description='The version of the control group that bounds the run: "v2", "v1" or "none".')
    network: str = strawberry.field(description='What network the run sees: "loopback" (its own) or "none".')


@strawberry.type(description="Why the server ended a run, when the program did not end by itself.")
class ExecutionProblem:
    """See `sandql.core.values.Problem`."""

    code: str = strawberry.field(description="An outcome, or a code of the error table.")
    message: str = strawberry.field(description="A sentence for people.")


@strawberry.type(description="The compile step of a compiled language, apart from the run.")
class Compilation:
    """See `sandql.core.values.Compilation`."""

    success: bool = strawberry.field(description="Whether there was a program to run.")
    output: str = strawberry.field(description="What the compiler said.")
    time: int = strawberry.field(description="Wall time of the compiler, in milliseconds.")


@strawberry.type(description="A value that code in a context showed, in one representation.")
class RichResult:
    """See `sandql.core.values.RichResult`."""

    index: int = strawberry.field(description="Which value: the representations of one have the same number.")
    mime_type: str = strawberry.field(description='What `data` is: "text/plain", "text/html", "image/png", …')
    data: str = strawberry.field(description="The representation, written as `encoding` says.")
    encoding: Encoding = strawberry.field(description="UTF8 for text, BASE64 for pictures.")


@strawberry.type(description="An exception that code in a context did not catch.")
class ExecutionException:
    """See `sandql.core.values.ExecutionException`."""

    name: str = strawberry.field(description="Its class.")
    value: str = strawberry.field(description="Its message.")
    traceback: str = strawberry.field(description="Where it was raised.")


@strawberry.type(description="A run that has ended. A program that failed is an answer with `success: false`, never an error.")
class ExecutionResult:
    """See `sandql.core.values.Execution`."""

    id: strawberry.ID = strawberry.field(description="The id of this run.")
    output: str = strawberry.field(description="Standard output as UTF-8; bytes that are not UTF-8 come as U+FFFD.")
    stderr: str | None = strawberry.field(description="Standard error, decoded as `output`; ends with a message where the server ended the run.")
    execution_time: int = strawberry.field(description="Wall time of the run, in milliseconds.")
    success: bool = strawberry.field(description="Whether the program ended by itself with exit code 0.")
    outcome: Outcome = strawberry.field(description="How the run ended.")
    exit_code: int | None = strawberry.field(description="The program's exit code; null when a signal ended it.")
    signal: str | None = strawberry.field(description="The name of the signal that ended the program, as SIGKILL.")
    error: ExecutionProblem | None = strawberry.field(description="Why the server ended the run; null when the program ended by itself.")
    truncated: bool = strawberry.field(description="Whether the program wrote more than is kept in `output` and `stderr`.")
    cpu_time: int | None = strawberry.field(description="CPU time of the run, in milliseconds.")
    peak_memory: int | None = strawberry.field(description="The most memory that the run had at one time, in KiB.")
    provider: str = strawberry.field(description="The provider that ran it.")
    language: str = strawberry.field(description="The language that ran, by its canonical name.")
    sandbox_id: strawberry.ID | None = strawberry.field(description='The sandbox in which it ran: "home", or null for a fresh one, gone by now.')
    isolation: Isolation = strawberry.field(description="What really stood between this run and the host.")
    compilation: Compilation | None = strawberry.field(description="The compile step; null for a language without one.")
    artifacts: list[FileContent] = strawberry.field(description="The files that were asked for with `artifacts`.")
    results: list[RichResult] = strawberry.field(description="What code in a context showed: `display()`, figures, the last expression's value.")
    exception: ExecutionException | None = strawberry.field(description="What code in a context raised and did not catch.")


def isolation(value: values.Isolation) -> Isolation:
    """The GraphQL form of an isolation report."""
    return Isolation(
        level=value.level,
        namespaces=list(value.namespaces),
        seccomp=value.seccomp,
        landlock=value.landlock,
        cgroup=value.cgroup,
        network=value.network,
    )


def _stderr(value: values.Execution) -> str:
    text = value.stderr.decode("utf-8", "replace")
    if value.problem is None:
        return text
    gap = "\n" if text and not text.endswith("\n") else ""
    return f"{text}{gap}{value.problem.message}"


def execution_result(value: values.Execution) -> ExecutionResult:
    """The GraphQL form of a run that has ended."""
    problem, compilation, raised = value.problem, value.compilation, value.exception
    return ExecutionResult(
        id=strawberry.ID(value.id),
        output=value.stdout.decode("utf-8", "replace"),
        stderr=_stderr(value),
        execution_time=value.wall_ms,
        success=value.success,
        outcome=value.outcome,
        exit_code=value.exit_code,
        signal=value.signal,
        error=None if problem is None else ExecutionProblem(code=problem.code, message=problem.message),
        truncated=value.truncated,
        cpu_time=value.cpu_ms,
        peak_memory=value.peak_memory_kib,
        provider=value.provider,
        language=value.language,
        sandbox_id=None if value.sandbox_id is None else strawberry.ID(value.sandbox_id),
        isolation=isolation(value.isolation),
        compilation=None
        if compilation is None
        else Compilation(success=compilation.success, output=compilation.output.decode("utf-8", "replace"), time=compilation.wall_ms),
        artifacts=[file_content(artifact) for artifact in value.artifacts],
        results=[RichResult(index=r.index, mime_type=r.mime_type, data=r.data, encoding=Encoding(r.encoding)) for r in value.results],
        exception=None if raised is None else ExecutionException(name=raised.name, value=raised.value, traceback=raised.traceback),
    )
