"""What the house answers, as GraphQL says it: bytes that are no text, names that are no text, times that are no dates."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandql.core.values import (
    Completed,
    Event,
    Execution,
    FileContent,
    FileEntry,
    FileType,
    Isolation,
    Outcome,
    Output,
    Problem,
    Started,
    Stream,
)
from sandql.schema.enums import Encoding
from sandql.schema.events import ExecutionCompleted, ExecutionOutput, ExecutionStarted, execution_events
from sandql.schema.execution import execution_result
from sandql.schema.files import file_content, file_entry

ISOLATION = Isolation("full", ("user",), True, 4, "v2", "loopback")
ENDED = Execution(
    id="1",
    outcome=Outcome.COMPLETED,
    exit_code=0,
    signal=None,
    stdout=b"",
    stderr=b"",
    truncated=False,
    wall_ms=1,
    cpu_ms=1,
    peak_memory_kib=1,
    provider="local",
    language="python",
    sandbox_id=None,
    isolation=ISOLATION,
)


def shown(chunks: list[tuple[Stream, bytes]]) -> list[ExecutionStarted | ExecutionOutput | ExecutionCompleted]:
    """The GraphQL events of a run that writes these chunks."""

    async def source() -> AsyncGenerator[Event]:
        yield Started(1, "x")
        for seq, (stream, data) in enumerate(chunks, 2):
            yield Output(seq, stream, data)
        yield Completed(len(chunks) + 2, ENDED)

    async def collect() -> list[ExecutionStarted | ExecutionOutput | ExecutionCompleted]:
        async with aclosing(execution_events(source())) as events:
            return [event async for event in events]

    return asyncio.run(collect())


@given(st.lists(st.tuples(st.sampled_from(Stream), st.binary(max_size=6) | st.text(max_size=3).map(str.encode)), max_size=12), st.data())
def test_text_survives_any_chunk_borders(pieces: list[tuple[Stream, bytes]], data: st.DataObject) -> None:
    chunks: list[tuple[Stream, bytes]] = []
    for stream, piece in pieces:
        cut = data.draw(st.integers(0, len(piece)))
        chunks += [(stream, piece[:cut]), (stream, piece[cut:])]
    events = shown(chunks)
    for stream in Stream:
        text = "".join(event.text for event in events if isinstance(event, ExecutionOutput) and event.stream is stream)
        assert text == b"".join(piece for kind, piece in pieces if kind is stream).decode("utf-8", "replace")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[-1], ExecutionCompleted)


def test_a_cut_character_comes_whole() -> None:
    texts = [
        event.text
        for event in shown([(Stream.STDOUT, b"\xe2\x82"), (Stream.STDERR, b"\xf0"), (Stream.STDOUT, b"\xac!")])
        if isinstance(event, ExecutionOutput)
    ]
    assert texts == ["", "", "€!", "\ufffd"]


def test_closing_the_events_closes_their_source() -> None:
    closed: list[bool] = []

    async def source() -> AsyncGenerator[Event]:
        try:
            yield Started(1, "x")
            yield Output(2, Stream.STDOUT, b"more")
        finally:
            closed.append(True)

    async def take_one() -> None:
        events = execution_events(source())
        await anext(events)
        await events.aclose()

    asyncio.run(take_one())
    assert closed == [True]


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [(b"", "the run took too long"), (b"warning", "warning\nthe run took too long"), (b"warning\n", "warning\nthe run took too long")],
)
def test_stderr_ends_with_why_the_house_ended_the_run(stderr: bytes, expected: str) -> None:
    ended = replace(ENDED, outcome=Outcome.TIMED_OUT, exit_code=None, stderr=stderr, problem=Problem("TIMED_OUT", "the run took too long"))
    result = execution_result(ended)
    assert result.stderr == expected
    assert result.success is False
    assert result.error is not None
    assert result.error.code == "TIMED_OUT"


def test_output_that_is_not_utf8_is_replaced() -> None:
    assert execution_result(replace(ENDED, stdout=b"a\xffb")).output == "a\ufffdb"


@given(st.binary(max_size=200))
def test_the_bytes_of_a_file_are_never_mangled(data: bytes) -> None:
    content = file_content(FileContent("x", data))
    back = content.content.encode() if content.encoding is Encoding.UTF8 else base64.b64decode(content.content)
    assert back == data
    assert content.size == len(data)


def test_a_name_that_is_not_utf8_is_shown() -> None:
    raw = b"caf\xe9".decode("utf-8", "surrogateescape")
    entry = file_entry(FileEntry(raw, f"sub/{raw}", FileType.FILE, 1, 0.0))
    assert (entry.name, entry.path) == ("caf\ufffd", "sub/caf\ufffd")
    entry.path.encode()


@pytest.mark.parametrize(("unix_s", "year"), [(0.0, 1970), (1e18, 9999), (-1e18, 1), (1.7e9, 2023), (float("inf"), 9999)])
def test_any_time_on_a_file_is_a_moment(unix_s: float, year: int) -> None:
    assert file_entry(FileEntry("x", "x", FileType.FILE, 1, unix_s)).modified_at.year == year
