"""Events of a run as they come."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest

from sandql.core.values import Completed, Event, Limits, MiB, Outcome, Output, RunRequest, Started, Stream
from sandql.providers.base import Provider
from tests.support.engine import HANG_S, SLEEPER, run, stream

pytestmark = pytest.mark.unprivileged

_PROMPT_S = 0.1  # in which a run that nobody wants must be over
_TRIES = 5  # the best of them counts: the machine may be busy with something else
_CHUNK = 64 * 1024


async def _events(provider: Provider, code: str | bytes, **request: object) -> list[Event]:
    asked = RunRequest("python", code.encode() if isinstance(code, str) else code, **request)  # type: ignore[arg-type]
    async with asyncio.timeout(HANG_S), provider.fresh() as sandbox, aclosing(stream(sandbox, asked)) as events:
        return [event async for event in events]


async def test_events_are_numbered_and_end_with_the_run(provider: Provider) -> None:
    events = await _events(provider, "import sys\nprint('a', flush=True)\nsys.stderr.write('b')\nsys.exit(3)")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    started, *outputs, completed = events
    assert isinstance(started, Started)
    assert isinstance(completed, Completed)
    assert completed.execution.id == started.execution_id
    said: dict[Stream, bytes] = {Stream.STDOUT: b"", Stream.STDERR: b""}
    for output in outputs:
        assert isinstance(output, Output)
        assert output.data
        said[output.stream] += output.data
    assert said == {Stream.STDOUT: b"a\n", Stream.STDERR: b"b"}
    assert (completed.execution.outcome, completed.execution.exit_code) == (Outcome.FAILED, 3)
    assert (completed.execution.stdout, completed.execution.stderr) == (b"a\n", b"b")


async def test_output_comes_while_the_program_runs(provider: Provider) -> None:
    async with asyncio.timeout(HANG_S), provider.fresh() as sandbox, aclosing(stream(sandbox, RunRequest("python", SLEEPER))) as events:
        seen = [await anext(events), await anext(events)]
    assert isinstance(seen[1], Output)
    assert seen[1].data == b"up\n"


async def test_a_stream_is_not_cut_where_a_result_is(provider: Provider) -> None:
    limits = Limits(output_bytes=1000, output_hard_bytes=2 * MiB)
    events = await _events(provider, "import sys\nfor _ in range(5):\n    sys.stdout.write('x' * (1 << 20))", limits=limits)
    assert sum(len(event.data) for event in events if isinstance(event, Output)) == 5 * MiB
    completed = events[-1]
    assert isinstance(completed, Completed)
    assert (completed.execution.outcome, len(completed.execution.stdout), completed.execution.truncated) == (Outcome.COMPLETED, 1000, True)


async def test_a_time_out_is_the_last_event_and_in_time(provider: Provider) -> None:
    began = time.monotonic()
    events = await _events(provider, SLEEPER, limits=Limits(wall_ms=500))
    elapsed_s = time.monotonic() - began
    completed = events[-1]
    assert isinstance(completed, Completed)
    assert completed.execution.outcome is Outcome.TIMED_OUT
    assert completed.execution.stdout == b"up\n"
    assert 0.5 <= elapsed_s < 3


async def test_a_reader_that_stops_reading_holds_the_program_back(provider: Provider) -> None:
    """The program writes a number after each 64 KiB: how far it came is seen at the end, when the rest is read."""
    code = f"""
import sys, time
for n in range(256):
    sys.stdout.write('x' * {_CHUNK})
    sys.stdout.flush()
    sys.stderr.write(f'{{n}} {{time.monotonic()}}\\n')
"""
    asked = RunRequest("python", code.encode(), limits=Limits(output_bytes=MiB))
    async with asyncio.timeout(HANG_S), provider.fresh() as sandbox, aclosing(stream(sandbox, asked)) as events:
        await anext(events)
        await anext(events)
        await run(provider, "import time\ntime.sleep(1)")  # nobody takes events for a second
        resumed = time.monotonic()
        rest = [event async for event in events]
    completed = rest[-1]
    assert isinstance(completed, Completed)
    assert completed.execution.outcome is Outcome.COMPLETED
    written_before = [line for line in completed.execution.stderr.decode().splitlines() if float(line.split()[1]) < resumed]
    assert len(written_before) * _CHUNK < 4 * MiB, "the program went on though nobody took its output"


async def test_closing_the_generator_ends_the_run_and_frees_its_place(provider: Provider) -> None:
    heartbeat = "import time\nwhile True:\n    open('beat', 'a').write('.')\n    print('.', flush=True)\n    time.sleep(0.005)"
    took: list[float] = []
    async with asyncio.timeout(HANG_S), provider.home("closing") as sandbox:
        for _ in range(_TRIES):
            events = stream(sandbox, RunRequest("python", heartbeat.encode()))
            await anext(events)
            await anext(events)
            began = time.monotonic()
            await events.aclose()
            sizes = [-1, len(await sandbox.files.read("beat", max_bytes=MiB))]
            while sizes[-1] != sizes[-2]:
                await asyncio.sleep(0.02)  # four beats long
                sizes.append(len(await sandbox.files.read("beat", max_bytes=MiB)))
            took.append(time.monotonic() - began)
            assert not [event async for event in events]
    assert min(took) < _PROMPT_S, f"the run went on for {min(took):.3f} s"


async def test_a_stream_that_is_never_begun_costs_nothing(provider: Provider) -> None:
    async with provider.fresh() as sandbox:
        events = stream(sandbox, RunRequest("python", b"print(1)"))
        await events.aclose()
    assert (await run(provider, "print(1)")).stdout == b"1\n"


async def test_cancelling_whoever_waits_for_events_ends_the_run(provider: Provider) -> None:
    up = asyncio.Event()

    async def follow() -> None:
        async with provider.fresh() as sandbox, aclosing(stream(sandbox, RunRequest("python", SLEEPER))) as events:
            async for event in events:
                if isinstance(event, Output):
                    up.set()

    following = asyncio.ensure_future(follow())
    await asyncio.wait_for(up.wait(), HANG_S)
    following.cancel()
    done, _ = await asyncio.wait([following], timeout=2)
    assert done
    assert following.cancelled()
