"""Each limit ends a run in its own way, in time, and the next run is unharmed."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from sandql.core.values import Completed, Execution, Limits, MiB, Outcome, RunRequest
from sandql.providers.base import Provider
from tests.support.engine import open_provider, run, stream

pytestmark = pytest.mark.unprivileged

_LATE_S = 1.5  # how much later than its limit a run may end on a busy machine


@pytest.fixture(autouse=True)
async def the_next_run_is_unharmed(provider: Provider) -> AsyncGenerator[None]:
    """After each test, a program finds all it could wish for."""
    yield
    done = await run(provider, "import threading\nx = bytearray(64 << 20)\nt = threading.Thread(target=print, args=(1,))\nt.start()\nt.join()")
    assert (done.outcome, done.stdout, done.stderr) == (Outcome.COMPLETED, b"1\n", b"")


def _assert_ended(done: Execution, outcome: Outcome, code: str, says: str) -> None:
    how = f"{done.outcome}, {done.exit_code}, {done.signal}, {done.problem}, {done.stderr[-300:]!r}"
    assert done.outcome is outcome, how
    assert done.problem is not None, how
    assert done.problem.code == code, how
    assert says in done.problem.message, how


@pytest.mark.parametrize("language", ["python", "javascript", "bash"])
@pytest.mark.parametrize("home", [None, "limits"])
async def test_wall_time(provider: Provider, language: str, home: str | None) -> None:
    if language not in {offered.name for offered in provider.languages()}:
        pytest.skip(f"{language} is not installed")
    programs = {"python": "import time\ntime.sleep(100)", "javascript": "setTimeout(() => {}, 100000)", "bash": "sleep 100"}
    began = time.monotonic()
    done = await run(provider, programs[language], language, home=home, limits=Limits(wall_ms=300))
    elapsed_s = time.monotonic() - began
    _assert_ended(done, Outcome.TIMED_OUT, "TIMED_OUT", "300 ms")
    assert done.wall_ms >= 300
    assert 0.3 <= elapsed_s < 0.3 + _LATE_S


async def test_wall_time_of_a_stream(provider: Provider) -> None:
    asked = RunRequest("python", b"while True:\n    print('x' * 1000)", limits=Limits(wall_ms=300))
    began = time.monotonic()
    async with provider.fresh() as sandbox, aclosing(stream(sandbox, asked)) as events:
        taken = [event async for event in events]
    elapsed_s = time.monotonic() - began
    last = taken[-1]
    assert isinstance(last, Completed)
    _assert_ended(last.execution, Outcome.TIMED_OUT, "TIMED_OUT", "300 ms")
    assert 0.3 <= elapsed_s < 0.3 + _LATE_S


async def test_wall_time_holds_for_a_program_that_ignores_every_signal_and_is_stopped(provider: Provider) -> None:
    code = "import os, signal\nfor n in (1, 2, 3, 15):\n    signal.signal(n, signal.SIG_IGN)\nos.kill(os.getpid(), signal.SIGSTOP)"
    began = time.monotonic()
    done = await run(provider, code, limits=Limits(wall_ms=300))
    _assert_ended(done, Outcome.TIMED_OUT, "TIMED_OUT", "300 ms")
    assert time.monotonic() - began < 0.3 + _LATE_S


async def test_cpu_time(provider: Provider) -> None:
    began = time.monotonic()
    done = await run(provider, "while True:\n    pass", limits=Limits(cpu_ms=1000, wall_ms=20_000))
    _assert_ended(done, Outcome.TIMED_OUT, "TIMED_OUT", "1000 ms of CPU")
    assert 900 <= done.cpu_ms < 2500
    assert time.monotonic() - began < 15


_HUNGRY = {
    "heap": "data = []\nwhile True:\n    data.append(bytearray(1 << 20))",
    "shared": """
import mmap, time
m = mmap.mmap(-1, 256 << 20)
for at in range(0, 256 << 20, 4096):
    m[at] = 1
time.sleep(2)
""",
    "children": """
import os, time
for _ in range(4):
    if os.fork() == 0:
        break
x = [bytearray(b'x' * (1 << 20)) for _ in range(40)]
time.sleep(2)
""",
}


@pytest.mark.parametrize("kind", _HUNGRY)
async def test_memory(provider: Provider, kind: str) -> None:
    done = await run(provider, _HUNGRY[kind], limits=Limits(memory_bytes=64 * MiB, wall_ms=10_000))
    if kind == "children" and done.outcome is not Outcome.OUT_OF_MEMORY:
        # The kernel chose a child to end, and the program itself went on without it.
        assert done.outcome is Outcome.COMPLETED
        assert provider.isolation().cgroup != "none"
        return
    _assert_ended(done, Outcome.OUT_OF_MEMORY, "OUT_OF_MEMORY", "64 MiB")
    assert done.wall_ms < 9000


async def test_memory_counts_files_in_memory(provider: Provider) -> None:
    if provider.isolation().cgroup == "none":
        pytest.skip("without control groups only the sizes of file systems bound them")
    code = "f = open('/dev/shm/x', 'wb')\nwhile True:\n    f.write(bytes(1 << 20))"
    done = await run(provider, code, limits=Limits(memory_bytes=64 * MiB))
    _assert_ended(done, Outcome.OUT_OF_MEMORY, "OUT_OF_MEMORY", "64 MiB")


async def test_processes(provider: Provider) -> None:
    code = """
import os, time
made = 0
try:
    while made < 500:
        if os.fork() == 0:
            time.sleep(100)
        made += 1
except BlockingIOError as error:
    print(made, error.strerror)
"""
    done = await run(provider, code, limits=Limits(processes=20, wall_ms=10_000))
    assert done.outcome is Outcome.COMPLETED
    made, said = done.stdout.decode().split(" ", 1)
    assert 10 <= int(made) < 20
    assert "unavailable" in said


async def test_a_fork_bomb_ends_with_its_time(provider: Provider) -> None:
    code = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    done = await run(provider, code, limits=Limits(wall_ms=700))
    # Without control groups a page that processes share counts in each of them, and so many of them may seem to need too much.
    assert done.outcome in (Outcome.TIMED_OUT, Outcome.OUT_OF_MEMORY)


async def test_open_files(provider: Provider) -> None:
    code = (
        "files = []\ntry:\n    while True:\n        files.append(open('/dev/null'))\nexcept OSError as error:\n    print(len(files), error.strerror)"
    )
    done = await run(provider, code, limits=Limits(open_files=32))
    assert done.outcome is Outcome.COMPLETED
    opened, said = done.stdout.decode().split(" ", 1)
    assert 20 <= int(opened) < 32
    assert "Too many open files" in said


async def test_a_fresh_workspace_is_full_when_it_is_full() -> None:
    """The kernel keeps these bounds: the program is told, and may go on."""
    code = """
import errno, os
for n, make in enumerate((lambda n: open('big', 'ab').write(bytes(1 << 20)), lambda n: os.mkdir(f'd{n}'))):
    try:
        for at in range(10_000):
            make(at)
    except OSError as error:
        print(errno.errorcode[error.errno])
    if n == 0:
        os.unlink('big')
"""
    async with open_provider(pool_size=1, node_pool_size=0, program_pool_size=0, workspace_bytes=4 * MiB, workspace_inodes=100) as small:
        done = await run(small, code, limits=Limits(workspace_bytes=4 * MiB, workspace_inodes=100))
        assert (done.outcome, done.stdout) == (Outcome.COMPLETED, b"ENOSPC\nENOSPC\n"), done.stderr.decode()


_FILL = "import time\nfor n in range(40):\n    open(f'{n}.bin', 'wb').write(bytes(1 << 20))\ntime.sleep(20)"
_MANY = "import time\nfor n in range(400):\n    open(f'{n}.txt', 'w').close()\ntime.sleep(20)"


@pytest.mark.parametrize("home", [None, "quota"])
@pytest.mark.parametrize(("code", "says"), [(_FILL, f"{8 * MiB} bytes"), (_MANY, "200 files")], ids=["bytes", "inodes"])
async def test_a_workspace_that_grows_over_what_was_asked_for(provider: Provider, code: str, says: str, home: str | None) -> None:
    limits = Limits(workspace_bytes=8 * MiB, workspace_inodes=200, wall_ms=15_000)
    done = await run(provider, code, home=None if home is None else f"{home} {says}", limits=limits)
    _assert_ended(done, Outcome.KILLED, "RESOURCE_ERROR", says)
    assert done.wall_ms < 10_000


async def test_one_file_is_no_larger_than_the_workspace(provider: Provider) -> None:
    code = "f = open('x', 'wb')\ntry:\n    f.truncate(1 << 40)\nexcept OSError as error:\n    print(error.strerror)"
    done = await run(provider, code, home="one file", limits=Limits(workspace_bytes=8 * MiB))
    assert done.stdout == b"File too large\n"


async def test_output(provider: Provider) -> None:
    began = time.monotonic()
    done = await run(provider, "yes", "bash", limits=Limits(output_bytes=10, output_hard_bytes=4 * MiB))
    _assert_ended(done, Outcome.OUTPUT_LIMIT, "OUTPUT_LIMIT", f"{4 * MiB} bytes")
    assert (done.stdout, done.truncated) == (b"y\ny\ny\ny\ny\n", True)
    assert time.monotonic() - began < 10
