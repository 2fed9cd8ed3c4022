"""The events of a run, as they come."""

from __future__ import annotations

from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from sandql.core import values
from sandql.schema.enums import Stream
from sandql.schema.execution import ExecutionResult, execution_result

_Utf8Decoder = getincrementaldecoder("utf-8")


@strawberry.type(description="The first event: the run has begun.")
class ExecutionStarted:
    """See `sandql.core.values.Started`."""

    seq: int = strawberry.field(description="The number of this event; the first is 1, and none is left out.")
    id: strawberry.ID = strawberry.field(description="The id of the run.")


@strawberry.type(description="What the program wrote, in the order in which it was read.")
class ExecutionOutput:
    """See `sandql.core.values.Output`."""

    seq: int = strawberry.field(description="The number of this event.")
    stream: Stream = strawberry.field(description="Where the program wrote it.")
    text: str = strawberry.field(description="The text; a character that was cut comes whole with the next event. Not UTF-8 comes as U+FFFD.")


@strawberry.type(description="The last event: the run has ended.")
class ExecutionCompleted:
    """See `sandql.core.values.Completed`."""

    seq: int = strawberry.field(description="The number of this event.")
    result: ExecutionResult = strawberry.field(description="The same answer as that of the mutation `executeCode`.")


ExecutionEvent = Annotated[
    ExecutionStarted | ExecutionOutput | ExecutionCompleted,
    strawberry.union("ExecutionEvent", description="An event of a run; `seq` counts from 1."),
]


def logged_event(event: values.Event) -> ExecutionEvent:
    """The GraphQL form of an event out of a log, in which no character is cut."""
    if isinstance(event, values.Output):
        return ExecutionOutput(seq=event.seq, stream=event.stream, text=event.data.decode("utf-8", "replace"))
    if isinstance(event, values.Started):
        return ExecutionStarted(seq=event.seq, id=strawberry.ID(event.execution_id))
    return ExecutionCompleted(seq=event.seq, result=execution_result(event.execution))


async def execution_events(events: AsyncGenerator[values.Event]) -> AsyncGenerator[ExecutionEvent]:
    """Turn a run's events into their GraphQL form, and close them on every way out.

    A character whose bytes lie in two events is given whole with the second. What is left of one at the end of the run comes
    as U+FFFD in an event of its own, with the number that the last event had; the last event moves on.
    """
    decoders: dict[values.Stream, IncrementalDecoder] = {stream: _Utf8Decoder("replace") for stream in values.Stream}
    async with aclosing(events):
        async for event in events:
            if isinstance(event, values.Output):
                yield ExecutionOutput(seq=event.seq, stream=event.stream, text=decoders[event.stream].decode(event.data))
            elif isinstance(event, values.Started):
                yield ExecutionStarted(seq=event.seq, id=strawberry.ID(event.execution_id))
            else:
                seq = event.seq
                for stream, decoder in decoders.items():
                    if rest := decoder.decode(b"", final=True):
                        yield ExecutionOutput(seq=seq, stream=stream, text=rest)
                        seq += 1
                yield ExecutionCompleted(seq=seq, result=execution_result(event.execution))
