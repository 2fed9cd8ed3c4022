"""What stays open costs what it used, whatever it says, and however it hides it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from sandql.core.contexts import ContextRequest
from sandql.core.terminals import TerminalRequest, TerminalSize
from sandql.core.values import Completed, Execution, Limits, MiB, RunRequest
from sandql.providers.base import Context
from tests.attacks.house import House
from tests.support.engine import HANG_S

_LIMITS = Limits(wall_ms=60_000, cpu_ms=60_000, memory_bytes=256 * MiB)
_BURN = """
import os, resource, signal, sys, time
def used():
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
def burn(seconds):
    begin = used()
    while used() - begin < seconds:
        pass
"""
# Says in the driver's place that it has ended and cost nothing, on every descriptor that takes it, and goes on computing.
_FORGED = b"""
import json
for number in range(50):
    said = json.dumps({"id": number, "results": [], "exception": None, "exit": None, "cpu_ms": 0, "peak_kib": 0, "cost": 0}).encode()
    for fd in range(3, 40):
        try:
            os.write(fd, len(said).to_bytes(4, "little") + said)
        except OSError:
            pass
burn(0.5)
open("burnt", "w").close()
"""
_PATCHED = b"""
resource.getrusage = lambda _who: resource.struct_rusage([0] * 16)
burn = burn.__class__(burn.__code__, {"used": time.process_time})
burn(0.5)
"""
# No parent waits for what these children used: the kernel forgets it with them, but for the control group.
_HIDDEN = b"""
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def hidden():
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            burn(0.1)
        os._exit(0)
    return child
for _ in range(5):
    hidden()
while any(name.isdigit() and int(name) > os.getpid() for name in os.listdir("/proc")):
    time.sleep(0.01)
"""


@pytest.fixture
async def context(house: House) -> AsyncGenerator[Context]:
    async with house.provider.home("costs") as sandbox, sandbox.open_context(ContextRequest("python", {}, _LIMITS)) as opened:
        await _run(opened, _BURN.encode())
        yield opened


async def _run(context: Context, code: bytes) -> Execution:
    async with aclosing(context.execute(RunRequest("python", code, limits=_LIMITS))) as events:
        async for event in events:
            if isinstance(event, Completed):
                return event.execution
    raise AssertionError("an execution ends with Completed")


@pytest.mark.unprivileged
async def test_a_context_that_says_that_it_cost_nothing(house: House, context: Context) -> None:
    before = await context.spent()
    await _run(context, _FORGED)
    async with house.provider.home("costs") as sandbox, asyncio.timeout(HANG_S):
        while not await sandbox.files.list("", glob="burnt"):
            pass
    assert (await context.spent()).cpu_ms - before.cpu_ms >= 450


@pytest.mark.unprivileged
async def test_a_context_that_counts_for_itself(context: Context) -> None:
    assert (await _run(context, _PATCHED)).cpu_ms >= 450


@pytest.mark.unprivileged
async def test_a_context_that_works_on_when_it_has_answered(context: Context) -> None:
    answered = await _run(context, b"import threading\nthreading.Thread(target=burn, args=(1000,), daemon=True).start()")
    before = await context.spent()
    assert before.cpu_ms >= answered.cpu_ms
    async with asyncio.timeout(HANG_S):
        while (await context.spent()).cpu_ms < before.cpu_ms + 300:
            pass


async def test_a_context_whose_children_nobody_waits_for(context: Context) -> None:
    assert (await _run(context, _HIDDEN)).cpu_ms >= 450


@pytest.mark.unprivileged
async def test_a_context_that_holds_memory_in_its_children(context: Context) -> None:
    held = b"""
children, (ready_r, ready_w) = [], os.pipe()
for _ in range(3):
    child = os.fork()
    if child == 0:
        kept = bytearray(b"x") * (40 << 20)
        os.write(ready_w, b"x")
        time.sleep(1000)
    children.append(child)
    os.read(ready_r, 1)
"""
    assert (await _run(context, held)).peak_memory_kib >= 110 << 10
    assert (await _run(context, b"for child in children: os.kill(child, 9)")).peak_memory_kib >= 110 << 10, "it has held that"


async def test_a_terminal_whose_children_nobody_waits_for(house: House) -> None:
    program = f"{_BURN}{_HIDDEN.decode()}"
    request = TerminalRequest(("python3", "-c", program), {}, TerminalSize(80, 24), _LIMITS)
    async with house.provider.home("costs") as sandbox, sandbox.open_terminal(request) as terminal:
        async with aclosing(terminal.output()) as shown:
            assert b"".join([piece async for piece in shown]) == b""
        assert (await terminal.ended()).exit_code == 0
    assert (await terminal.spent()).cpu_ms >= 450
