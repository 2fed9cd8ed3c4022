"""What a client can ask of terminals, and do with them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

import strawberry

from sandql.core import terminals
from sandql.resolvers import terminals as resolvers
from sandql.resolvers.acting import acting_for
from sandql.resolvers.operations import CreateTerminal
from sandql.schema.arguments import Env, FileSandbox, IdempotencyKey, Owner, ProviderName, given
from sandql.schema.context import Info
from sandql.schema.enums import Encoding
from sandql.schema.requirements import needs
from sandql.schema.scalars import ByteCount

TerminalId = Annotated[strawberry.ID, strawberry.argument(description="The id of a terminal of the caller's.")]
Cols = Annotated[int, strawberry.argument(description="Columns, from 1 to 1,000.")]
Rows = Annotated[int, strawberry.argument(description="Rows, from 1 to 1,000.")]
Command = Annotated[list[str] | None, strawberry.argument(description="A program and its arguments; an interactive shell when left out.")]
Keys = Annotated[str, strawberry.argument(description="What to type, at most 1 MiB, written as `encoding` says.")]
KeysEncoding = Annotated[Encoding, strawberry.argument(description="How `data` is to be read.")]
AfterByte = Annotated[
    ByteCount | None,
    strawberry.argument(
        description="`offset` of the last event that is known already; what is shown begins behind it, or with its begin when left out."
    ),
]
OfSandbox = Annotated[strawberry.ID | None, strawberry.argument(description='Only those in this sandbox; "home" is one.')]


@strawberry.type(description="A terminal in which a program of a sandbox runs.")
class Terminal:
    """See `sandql.core.terminals.TerminalInfo`."""

    id: strawberry.ID = strawberry.field(description="Its id, which nobody guesses.")
    sandbox_id: strawberry.ID = strawberry.field(description="Where its program runs.")
    cols: int = strawberry.field(description="Columns.")
    rows: int = strawberry.field(description="Rows.")
    created_at: datetime = strawberry.field(description="When it was opened.")
    ended: bool = strawberry.field(description="Whether its program has ended.")
    exit_code: int | None = strawberry.field(description="The program's exit code; null while it runs, and when a signal ended it.")
    signal: str | None = strawberry.field(description="The name of the signal that ended it.")
    reason: str | None = strawberry.field(description="Why the server ended it; null while it runs, and when it ended by itself.")


@strawberry.type(description="What a terminal showed.")
class TerminalOutput:
    """See `sandql.core.terminals.Screen`."""

    offset: ByteCount = strawberry.field(description="How many bytes it had shown in all, with these; what to give as `after` to go on here.")
    data: str = strawberry.field(description="What it showed, for a terminal emulator. A character comes whole; not UTF-8 comes as U+FFFD.")
    truncated: bool = strawberry.field(description="Whether some of what was asked for is not kept any more, before this.")


@strawberry.type(description="The last event of a terminal: its program has ended.")
class TerminalEnded:
    """See `sandql.core.terminals.Closed`."""

    offset: ByteCount = strawberry.field(description="How many bytes it had shown in all.")
    exit_code: int | None = strawberry.field(description="The program's exit code; null when a signal ended it.")
    signal: str | None = strawberry.field(description="The name of the signal that ended it.")
    reason: str | None = strawberry.field(description="Why the server ended it; null when it ended by itself.")


TerminalEvent = Annotated[
    TerminalOutput | TerminalEnded, strawberry.union("TerminalEvent", description="Something that a terminal showed, or its end.")
]


def _terminal(value: terminals.TerminalInfo) -> Terminal:
    return Terminal(
        id=strawberry.ID(value.id),
        sandbox_id=strawberry.ID(value.sandbox_id),
        cols=value.size.cols,
        rows=value.size.rows,
        created_at=datetime.fromtimestamp(value.created_at, UTC),
        ended=value.end is not None,
        exit_code=None if value.end is None else value.end.exit_code,
        signal=None if value.end is None else value.end.signal,
        reason=None if value.end is None else value.end.reason,
    )


def _event(value: terminals.Screen | terminals.Closed) -> TerminalEvent:
    if isinstance(value, terminals.Screen):
        return TerminalOutput(offset=ByteCount(value.offset), data=value.data.decode("utf-8", "replace"), truncated=value.truncated)
    end = value.end
    return TerminalEnded(offset=ByteCount(value.offset), exit_code=end.exit_code, signal=end.signal, reason=end.reason)


@strawberry.type
class TerminalQuery:
    """Fields of the query root that are about terminals."""

    @strawberry.field(
        description="A terminal of the caller's; null with the error NOT_FOUND where there is none.", metadata=needs(resolvers.find_terminal)
    )
    async def terminal(self, info: Info, id: TerminalId) -> Terminal | None:
        return _terminal(await resolvers.find_terminal(info.context.sandboxes, info.context.caller, id))

    @strawberry.field(
        description="The caller's terminals, oldest first; those that have ended are known for some minutes.",
        metadata=needs(resolvers.list_terminals),
    )
    async def terminals(self, info: Info, sandbox_id: OfSandbox = strawberry.UNSET, owner: Owner = strawberry.UNSET) -> list[Terminal]:
        asker = await acting_for(info.context.sandboxes, info.context.caller, given(owner))
        return [_terminal(item) for item in await resolvers.list_terminals(info.context.sandboxes, asker, given(sandbox_id))]


@strawberry.type
class TerminalMutation:
    """Fields of the mutation root that are about terminals."""

    @strawberry.mutation(description="Open a terminal in a sandbox. It goes on when its client is gone.", metadata=needs(resolvers.create_terminal))
    async def create_terminal(
        self,
        info: Info,
        sandbox_id: FileSandbox = strawberry.UNSET,
        provider: ProviderName = strawberry.UNSET,
        cols: Cols = 80,
        rows: Rows = 24,
        command: Command = strawberry.UNSET,
        env: Env = strawberry.UNSET,
        idempotency_key: IdempotencyKey = strawberry.UNSET,
    ) -> Terminal:
        words = given(command)
        asked = CreateTerminal(
            sandbox_id=given(sandbox_id),
            provider=given(provider),
            cols=cols,
            rows=rows,
            command=None if words is None else tuple(words),
            env=tuple((item.name, item.value) for item in given(env) or ()),
        )
        return _terminal(await resolvers.create_terminal(info.context.sandboxes, info.context.caller, asked, given(idempotency_key)))

    @strawberry.mutation(description="Type into a terminal. True when it has taken all of it, or an error.", metadata=needs(resolvers.type_into))
    async def terminal_input(self, info: Info, id: TerminalId, data: Keys, encoding: KeysEncoding = Encoding.UTF8) -> bool:
        await resolvers.type_into(info.context.sandboxes, info.context.caller, id, data, encoding)
        return True

    @strawberry.mutation(description="Give a terminal another size; the program in it is told.", metadata=needs(resolvers.resize_terminal))
    async def resize_terminal(self, info: Info, id: TerminalId, cols: Cols, rows: Rows) -> Terminal:
        return _terminal(await resolvers.resize_terminal(info.context.sandboxes, info.context.caller, id, cols, rows))

    @strawberry.mutation(
        description="Hang up: end a terminal's program. True once it has ended, also when it had before.", metadata=needs(resolvers.close_terminal)
    )
    async def close_terminal(self, info: Info, id: TerminalId, owner: Owner = strawberry.UNSET) -> bool:
        asker = await acting_for(info.context.sandboxes, info.context.caller, given(owner))
        await resolvers.close_terminal(info.context.sandboxes, asker, id)
        return True


@strawberry.type
class TerminalSubscription:
    """Fields of the subscription root that are about terminals."""

    @strawberry.subscription(
        description="What a terminal shows: what is kept, then what comes, up to its end. Unsubscribing leaves it as it is.",
        metadata=needs(resolvers.watch_terminal),
    )
    async def terminal_output(self, info: Info, id: TerminalId, after: AfterByte = strawberry.UNSET) -> AsyncGenerator[TerminalEvent]:
        pieces = resolvers.watch_terminal(info.context.sandboxes, info.context.caller, id, given(after))
        async with aclosing(pieces):
            async for piece in pieces:
                yield _event(piece)
