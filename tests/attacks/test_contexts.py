"""A context that says what its driver would not: it ends, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from sandql.core.contexts import ContextRequest
from sandql.core.values import Completed, Execution, Limits, MiB, Outcome, RunRequest
from sandql.providers.base import Context
from tests.attacks.house import House
from tests.support.engine import HANG_S, open_provider

_LIMITS = Limits(wall_ms=60_000, cpu_ms=60_000, memory_bytes=256 * MiB)
_CHANNEL = """
import os
def links():
    for name in os.listdir("/proc/self/fd"):
        try:
            yield int(name), os.readlink("/proc/self/fd/" + name)
        except OSError:
            pass
channel = next(fd for fd, path in links() if ".sandql-" in path)
"""
_FORGED = {
    "more frames than a driver sends": """
while True:
    os.write(channel, b"\\2\\0\\0\\0{}" * 10_000)
""",
    "a frame of many lists": """
said = b'{"id":2,"results":[' + b"[]," * 1_000_000 + b"[]]}"
os.write(channel, len(said).to_bytes(4, "little") + said)
import time
time.sleep(60)
""",
    "a frame of many results": """
said = b'{"id":2,"results":[' + b'{"a\\\\\\\\":["\\\\"",""]},' * 200_000 + b"{}]}"
os.write(channel, len(said).to_bytes(4, "little") + said)
import time
time.sleep(60)
""",
}


@pytest.fixture
async def context(house: House) -> AsyncGenerator[Context]:
    async with house.provider.home("contexts") as sandbox, sandbox.open_context(ContextRequest("python", {}, _LIMITS)) as opened:
        await _run(opened, _CHANNEL)
        yield opened


async def _run(context: Context, code: str) -> Execution:
    async def collect() -> Execution:
        async with aclosing(context.execute(RunRequest("python", code.encode(), limits=_LIMITS))) as events:
            return [event.execution async for event in events if isinstance(event, Completed)].pop()

    return await asyncio.wait_for(collect(), HANG_S)


@pytest.mark.parametrize("forged", _FORGED.values(), ids=_FORGED)
async def test_what_no_driver_says_ends_the_context(context: Context, forged: str) -> None:
    assert (await _run(context, forged)).outcome is Outcome.SANDBOX_LOST
    assert not context.alive


async def test_who_goes_on_writing_does_not_hold_back_the_answer(context: Context) -> None:
    writers = """
import sys
for _ in range(4):
    if os.fork() == 0:
        while True:
            os.write(1, b"x" * 65_536)
"""
    assert (await _run(context, writers)).outcome in (Outcome.COMPLETED, Outcome.OUTPUT_LIMIT)


async def test_a_folder_that_a_program_has_shut_is_no_hindrance(house: House) -> None:
    async with house.provider.home("shut") as sandbox:
        shut = RunRequest("python", b"import os\nos.chmod('/workspace', 0)\nprint('shut', flush=True)\nimport time\ntime.sleep(60)")
        async with sandbox.start(shut) as program, aclosing(program.events()) as events:
            while b"shut" not in getattr(await anext(events), "data", b""):
                pass
            async with sandbox.open_context(ContextRequest("python", {}, _LIMITS)) as opened:
                assert (await _run(opened, "1 + 1")).outcome is Outcome.COMPLETED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has control groups here")
async def test_memory_that_was_handed_on_is_not_the_next_ones_to_pay_for() -> None:
    keeper = """
import socket, threading
server = socket.socket(socket.AF_UNIX)
server.bind("/workspace/socket")
server.listen()
held = []
def take():
    while True:
        client = server.accept()[0]
        held.append(socket.recv_fds(client, 1, 1)[1])
        client.close()
threading.Thread(target=take, daemon=True).start()
"""
    giver = b"""
import os, socket
memory = os.memfd_create("memory")
for _ in range(80):
    os.write(memory, bytes(1 << 20))
client = socket.socket(socket.AF_UNIX)
client.connect("/workspace/socket")
socket.send_fds(client, [b"x"], [memory])
client.recv(1)
"""
    limits = Limits(wall_ms=20_000, cpu_ms=20_000, memory_bytes=128 * MiB)
    async with (
        open_provider(pool_size=1, node_pool_size=0, program_pool_size=0, memory_bytes=128 * MiB) as provider,
        provider.home("giver") as sandbox,
        sandbox.open_context(ContextRequest("python", {}, limits)) as opened,
    ):
        await _run(opened, keeper)
        for _ in range(3):
            assert (await sandbox.run(RunRequest("python", giver, limits=limits))).outcome is Outcome.COMPLETED
        for _ in range(8):
            async with provider.home("other") as other:
                ended = await other.run(RunRequest("python", b"memory = bytearray(b'x') * (70 << 20)", limits=limits))
                assert ended.outcome is Outcome.COMPLETED
