"""Terminals."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import asdict
from typing import Final

from sandql.access.grants import check_language
from sandql.core.errors import BadRequest, NotFound
from sandql.core.permissions import Kind, Permission
from sandql.core.terminals import MAX_SIDE, Closed, Screen, TerminalInfo, TerminalRequest, TerminalSize
from sandql.core.values import HOME, Caller, MiB
from sandql.resolvers.bounds import COMMAND, check_argv, check_env, decode_content
from sandql.resolvers.guard import guarded, guarded_stream
from sandql.resolvers.operations import CreateTerminal
from sandql.resolvers.prices import terminal_limits
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.metered import TERMINAL
from sandql.sandboxes.new_ids import terminal_id

MAX_INPUT_BYTES: Final = 1 * MiB


@guarded(Kind.EXECUTE, Permission.EXECUTE_CODE)
async def create_terminal(sandboxes: Sandboxes, caller: Caller, asked: CreateTerminal, key: str | None = None) -> TerminalInfo:
    """Open a terminal in a kept sandbox. Raises SandqlError."""
    terminals = sandboxes.durable.terminals
    check_language(caller, COMMAND)  # whoever has a terminal can run whatever there is
    kept = await sandboxes.find_kept(caller, asked.sandbox_id or HOME)
    env = check_env(asked.env)
    request = TerminalRequest(
        () if asked.command is None else check_argv(asked.command, "command"),
        env if kept is None else {**kept.spec.env, **env},
        _check_size(asked.cols, asked.rows),
        terminal_limits(caller, sandboxes.settings, kept),
    )
    async with sandboxes.durable.keys.once(caller, key, "CreateTerminal", asdict(asked), terminal_id) as claim:
        if not claim.new:
            with suppress(NotFound):  # or else it was not begun
                return terminals.find(caller, claim.id)
        lease = sandboxes.borrow(caller, asked.sandbox_id or HOME, asked.provider, working=False, running=TERMINAL)
        return await terminals.create(caller, claim.id, lease, request)


@guarded(Kind.QUERY)
async def find_terminal(sandboxes: Sandboxes, caller: Caller, id_: str) -> TerminalInfo:
    """The caller's terminal of that id. Raises NotFound."""
    return sandboxes.durable.terminals.find(caller, id_)


@guarded(Kind.QUERY)
async def list_terminals(sandboxes: Sandboxes, caller: Caller, sandbox_id: str | None) -> list[TerminalInfo]:
    """The caller's terminals, those of a sandbox where one is given."""
    return sandboxes.durable.terminals.list(caller, sandbox_id)


@guarded(Kind.QUERY, Permission.EXECUTE_CODE, audited=False)
async def type_into(sandboxes: Sandboxes, caller: Caller, id_: str, data: str, encoding: str) -> None:
    """Type into a terminal. Raises NotFound, Conflict, PayloadTooLarge, ResourceError, Forbidden."""
    check_language(caller, COMMAND)
    await sandboxes.durable.terminals.write(caller, id_, decode_content("data", data, encoding, MAX_INPUT_BYTES))


@guarded(Kind.QUERY, Permission.EXECUTE_CODE, audited=False)
async def resize_terminal(sandboxes: Sandboxes, caller: Caller, id_: str, cols: int, rows: int) -> TerminalInfo:
    """Give a terminal another size. Raises NotFound, BadRequest."""
    return sandboxes.durable.terminals.resize(caller, id_, _check_size(cols, rows))


@guarded(Kind.QUERY, Permission.EXECUTE_CODE)
async def close_terminal(sandboxes: Sandboxes, caller: Caller, id_: str) -> None:
    """End a terminal's program. Raises NotFound."""
    await sandboxes.durable.terminals.close(caller, id_)


@guarded_stream(Kind.QUERY, Permission.EXECUTE_CODE, audited=False)
async def watch_terminal(sandboxes: Sandboxes, caller: Caller, id_: str, after: int | None) -> AsyncGenerator[Screen | Closed]:
    """What a terminal shows from a position on, up to its end. Raises NotFound."""
    async with aclosing(sandboxes.durable.terminals.output(caller, id_, after)) as pieces:
        async for piece in pieces:
            yield piece


def _check_size(cols: int, rows: int) -> TerminalSize:
    for name, side in (("cols", cols), ("rows", rows)):
        if not 1 <= side <= MAX_SIDE:
            raise BadRequest(f"{name}: must be from 1 to {MAX_SIDE}, got {side}")
    return TerminalSize(cols, rows)
