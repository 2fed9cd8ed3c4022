"""`sandql run`: one program in a fresh sandbox, its output passed on as it comes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sandql.core.errors import BadRequest, PayloadTooLarge, SandqlError
from sandql.core.settings import Settings
from sandql.core.values import Caller, Completed, Execution, Outcome, Output, Stream
from sandql.resolvers.code import stream_code
from sandql.resolvers.operations import ExecuteCode
from sandql.sandboxes.house import open_sandboxes

USAGE: Final = 2
TIMED_OUT: Final = 124  # as timeout(1)
HOUSE_FAILED: Final = 125  # as timeout(1) and docker-run(1): not the program's fault
SIGNALLED: Final = 128  # as a shell: 128 + the signal's number

_ENDINGS: Final = {
    ".bash": "bash",
    ".c": "c",
    ".cc": "cpp",
    ".cjs": "javascript",
    ".cpp": "cpp",
    ".cxx": "cpp",
    ".go": "go",
    ".java": "java",
    ".js": "javascript",
    ".lua": "lua",
    ".mjs": "javascript",
    ".php": "php",
    ".pl": "perl",
    ".py": "python",
    ".r": "r",
    ".rb": "ruby",
    ".rs": "rust",
    ".sh": "bash",
    ".ts": "typescript",
}


class UsageError(Exception):
    """What was given to `sandql run` is not acceptable; the message says what and what to do."""


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: is not UTF-8 (byte {error.start} is 0x{data[error.start]:02x}); convert it first") from None


def _read_stdin(source: str | None, most: int) -> str | None:
    """The text of `--stdin`, at most `most` bytes of it and one more, so that a bound can still be told."""
    if source is None:
        return None
    if source == "-":
        return _text("--stdin", sys.stdin.buffer.read(most + 1))
    try:
        with Path(source).open("rb") as file:
            return _text("--stdin", file.read(most + 1))
    except OSError as error:
        raise UsageError(f"--stdin: {source!r} cannot be read: {error.strerror}") from None


def ask(file: Path, *, language: str | None, stdin: str | None, timeout_s: float | None, args: tuple[str, ...], settings: Settings) -> ExecuteCode:
    """What to run, from what the command line gave. Raises UsageError."""
    wanted = language or _ENDINGS.get(file.suffix.lower())
    if wanted is None:
        raise UsageError(f"FILE: the ending of {file.name!r} says no language; give one with --language")
    try:
        with file.open("rb") as program:
            code = _text("FILE", program.read(settings.code_bytes + 1))
    except OSError as error:
        raise UsageError(f"FILE: {str(file)!r} cannot be read: {error.strerror}") from None
    most_s = settings.max_wall_ms / 1000
    if timeout_s is not None and not 0.001 <= timeout_s <= most_s:
        raise UsageError(f"--timeout: must be from 0.001 to {most_s:g} seconds, got {timeout_s:g}")
    return ExecuteCode(
        code=code,
        language=wanted,
        stdin=_read_stdin(stdin, settings.stdin_bytes),
        args=args,
        timeout_ms=None if timeout_s is None else round(timeout_s * 1000),
        provider=settings.default_provider,
    )


def exit_code(execution: Execution) -> int:
    """The code with which a shell would say how this run ended."""
    if execution.outcome is Outcome.TIMED_OUT:
        return TIMED_OUT
    if execution.signal is not None:
        return SIGNALLED + signal.Signals[execution.signal].value
    if execution.exit_code is not None:
        return execution.exit_code
    return 0 if execution.success else HOUSE_FAILED


def _say(message: str) -> None:
    print(f"sandql: {message}", file=sys.stderr, flush=True)


async def _run(settings: Settings, asked: ExecuteCode) -> int:
    async with open_sandboxes(settings, keep=False) as sandboxes, aclosing(stream_code(sandboxes, Caller(), asked)) as events:
        async for event in events:
            if isinstance(event, Output):
                target = sys.stdout.buffer if event.stream is Stream.STDOUT else sys.stderr.buffer
                target.write(event.data)
                target.flush()
            elif isinstance(event, Completed):
                if event.execution.problem is not None:
                    _say(event.execution.problem.message)
                return exit_code(event.execution)
    return HOUSE_FAILED


async def _run_until_signalled(settings: Settings, asked: ExecuteCode) -> int:
    """As `_run`; a SIGTERM ends the run in the same orderly way as asyncio's SIGINT does."""
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(_run(settings, asked))
    loop.add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if current is not None and current.cancelling():
            raise
        return SIGNALLED + signal.SIGTERM
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def run_program(settings: Settings, asked: ExecuteCode) -> int:
    """Run the program to its end and return the code to exit with. What the house has to say goes to stderr."""
    # A state folder of its own: a server of the same user may be at work in the usual one.
    with TemporaryDirectory(prefix="sandql-run-") as state_dir:
        try:
            return asyncio.run(_run_until_signalled(settings.model_copy(update={"state_dir": Path(state_dir)}), asked))
        except (BadRequest, PayloadTooLarge) as error:
            _say(error.message)
            return USAGE
        except SandqlError as error:
            _say(f"{error.code}: {error.message}")
            return HOUSE_FAILED
        except KeyboardInterrupt:
            return SIGNALLED + signal.SIGINT
        except BrokenPipeError:
            # Who read our stdout has gone. Python would complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return SIGNALLED + signal.SIGPIPE
