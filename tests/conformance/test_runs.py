"""Running a program to its end."""

from __future__ import annotations

import asyncio
import hashlib
import json
import textwrap
from itertools import pairwise

import pytest

from sandql.core.values import HOME, InputFile, Limits, MiB, Outcome
from sandql.providers.base import Provider
from tests.support.engine import run

pytestmark = pytest.mark.unprivileged


async def test_a_program_that_ends_well(provider: Provider) -> None:
    done = await run(provider, "import sys\nprint('out')\nprint('err', file=sys.stderr)")
    assert (done.outcome, done.success, done.exit_code, done.signal, done.problem) == (Outcome.COMPLETED, True, 0, None, None)
    assert (done.stdout, done.stderr, done.truncated) == (b"out\n", b"err\n", False)
    assert (done.provider, done.language, done.sandbox_id) == (provider.name, "python", None)
    assert done.isolation == provider.isolation()
    assert done.wall_ms >= 0
    assert done.cpu_ms >= 0
    assert done.peak_memory_kib > 0


@pytest.mark.parametrize("code", [1, 3, 255])
async def test_a_program_that_fails_says_its_exit_code(provider: Provider, code: int) -> None:
    done = await run(provider, f"print('before')\nraise SystemExit({code})")
    assert (done.outcome, done.success, done.exit_code, done.signal) == (Outcome.FAILED, False, code, None)
    assert done.stdout == b"before\n"
    assert done.problem is None


async def test_an_exception_is_the_programs_own_failure(provider: Provider) -> None:
    done = await run(provider, "def f():\n    1 / 0\nf()")
    assert (done.outcome, done.exit_code) == (Outcome.FAILED, 1)
    assert done.stderr.endswith(b"ZeroDivisionError: division by zero\n")
    assert b"line 3, in <module>" in done.stderr


async def test_a_signal_is_named(provider: Provider) -> None:
    done = await run(provider, "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
    assert (done.outcome, done.exit_code, done.signal) == (Outcome.KILLED, None, "SIGSEGV")
    assert done.problem is not None
    assert "SIGSEGV" in done.problem.message


async def test_a_program_that_runs_too_long_keeps_what_it_printed(provider: Provider) -> None:
    done = await run(provider, "print('first', flush=True)\nimport time\ntime.sleep(100)", limits=Limits(wall_ms=400))
    assert (done.outcome, done.exit_code) == (Outcome.TIMED_OUT, None)
    assert done.stdout == b"first\n"
    assert done.problem is not None
    assert "400 ms" in done.problem.message
    assert 400 <= done.wall_ms < 2000


async def test_arguments_arrive_as_they_were_given(provider: Provider) -> None:
    args = ("", "two words", "-x", "--", "'\"$(id)`*?\\", "naïve ☃ 𝄞", "line\nbreak")
    done = await run(provider, "import json, sys\nprint(json.dumps(sys.argv[1:]))", args=args)
    assert json.loads(done.stdout) == list(args)


async def test_variables_arrive_and_nothing_of_the_server_does(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_SECRET", "1")
    done = await run(provider, "import json, os\nprint(json.dumps(dict(os.environ)))", env={"A": "1", "WORT": "ü\n="})
    seen = json.loads(done.stdout)
    assert seen["A"] == "1"
    assert seen["WORT"] == "ü\n="
    assert "SERVER_SECRET" not in seen


@pytest.mark.parametrize("size", [0, 1, 65_536, 8 * MiB])
async def test_input_arrives_whole(provider: Provider, size: int) -> None:
    stdin = (b"\x00\xff\n0123456789abcdef" * (size // 16 + 1))[:size]
    code = "import hashlib, sys\ndata = sys.stdin.buffer.read()\nprint(len(data), hashlib.sha256(data).hexdigest())"
    done = await run(provider, code, stdin=stdin)
    assert done.stdout.decode().split() == [str(size), hashlib.sha256(stdin).hexdigest()]


async def test_input_that_nobody_reads_is_no_obstacle(provider: Provider) -> None:
    done = await run(provider, "print(1)", stdin=b"x" * (8 * MiB))
    assert (done.outcome, done.stdout) == (Outcome.COMPLETED, b"1\n")


async def test_files_are_there_before_the_run(provider: Provider) -> None:
    files = (InputFile("data.bin", b"\x00\xff"), InputFile("pkg/deep/mod.py", b"value = 7"), InputFile("ünï ☃.txt", b"snow"))
    code = "import pkg.deep.mod\nprint(open('data.bin', 'rb').read(), pkg.deep.mod.value, open('ünï ☃.txt').read())"
    assert (await run(provider, code, files=files)).stdout == b"b'\\x00\\xff' 7 snow\n"


async def test_artifacts_are_brought_back(provider: Provider) -> None:
    code = "import os\nos.makedirs('out/sub')\nfor n in ('out/a.txt', 'out/sub/b.txt', 'c.txt'):\n    open(n, 'wb').write(b'\\xff' + n.encode())"
    done = await run(provider, code, artifacts=("out/**/*.txt", "c.txt", "missing.txt"))
    assert [(artifact.path, artifact.content) for artifact in done.artifacts] == [
        ("c.txt", b"\xffc.txt"),
        ("out/a.txt", b"\xffout/a.txt"),
        ("out/sub/b.txt", b"\xffout/sub/b.txt"),
    ]


async def test_artifacts_of_a_program_that_failed_or_timed_out_are_brought_back_too(provider: Provider) -> None:
    failed = await run(provider, "open('a.txt', 'w').write('1')\nraise SystemExit(1)", artifacts=("a.txt",))
    slow = await run(provider, "open('a.txt', 'w').write('1')\nimport time\ntime.sleep(100)", artifacts=("a.txt",), limits=Limits(wall_ms=500))
    assert (failed.outcome, slow.outcome) == (Outcome.FAILED, Outcome.TIMED_OUT)
    assert [artifact.content for artifact in (*failed.artifacts, *slow.artifacts)] == [b"1", b"1"]


async def test_output_is_bytes_and_bounded(provider: Provider) -> None:
    code = "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 64)\nsys.stderr.write('e' * 100)"
    done = await run(provider, code, limits=Limits(output_bytes=1000))
    assert done.stdout == (bytes(range(256)) * 4)[:1000]
    assert done.stderr == b"e" * 100
    assert done.truncated
    assert done.outcome is Outcome.COMPLETED


async def test_output_of_exactly_the_bound_is_not_truncated(provider: Provider) -> None:
    done = await run(provider, "print('x' * 999)", limits=Limits(output_bytes=1000))
    assert (len(done.stdout), done.truncated) == (1000, False)


async def test_too_much_output_ends_the_run(provider: Provider) -> None:
    done = await run(provider, "while True:\n    print('x' * 1000)", limits=Limits(output_bytes=1000, output_hard_bytes=2 * MiB))
    assert done.outcome is Outcome.OUTPUT_LIMIT
    assert len(done.stdout) == 1000
    assert done.problem is not None
    assert str(2 * MiB) in done.problem.message


async def test_a_fresh_sandbox_sees_nothing_of_another_run(provider: Provider) -> None:
    leave = """
        import builtins, os, subprocess, sys, random
        for folder in ('/workspace', '/tmp', '/dev/shm'):
            open(folder + '/left', 'w').write('left')
        builtins.left = sys.modules['left'] = os.environ['LEFT'] = 'left'
        subprocess.Popen(['sleep', '1000'], start_new_session=True)
    """
    look = """
        import builtins, os, sys
        found = [f for f in ('/workspace/left', '/tmp/left', '/dev/shm/left') if os.path.exists(f)]
        found += [n for n in ('left',) if hasattr(builtins, n) or n in sys.modules] + [v for v in ('LEFT',) if v in os.environ]
        found += [p for p in os.listdir('/proc') if p.isdigit() and b'sleep' in open(f'/proc/{p}/cmdline', 'rb').read()]
        print(found, sorted(os.listdir('/workspace')))
    """
    assert (await run(provider, textwrap.dedent(leave))).outcome is Outcome.COMPLETED
    for _ in range(3):
        assert (await run(provider, textwrap.dedent(look))).stdout == b"[] ['main.py']\n"


async def test_what_a_program_leaves_running_ends_with_it(provider: Provider) -> None:
    code = "import os\nif os.fork() == 0:\n    os.setsid()\n    import time\n    time.sleep(1000)\nprint('parent')"
    done = await run(provider, code, limits=Limits(wall_ms=10_000))
    assert (done.outcome, done.stdout) == (Outcome.COMPLETED, b"parent\n")
    assert done.wall_ms < 5000


async def test_ids_are_unguessable_and_never_the_same(provider: Provider) -> None:
    runs = await asyncio.gather(*(run(provider, "pass") for _ in range(12)))
    ids = [done.id for done in runs]
    assert len(set(ids)) == len(ids)
    for one, other in pairwise(sorted(ids)):
        assert len(one) >= 20
        common = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
        assert len(one) - common >= 15, f"{one} and {other} differ in their last letters only"


async def test_random_numbers_differ_between_runs(provider: Provider) -> None:
    code = "import random, uuid, secrets, os\nprint(random.random(), uuid.uuid4(), secrets.token_hex(8), os.urandom(8).hex())"
    first, second = [(await run(provider, code)).stdout.split() for _ in range(2)]
    assert not set(first) & set(second)


async def test_a_home_has_an_id_and_a_fresh_sandbox_has_none(provider: Provider) -> None:
    assert (await run(provider, "pass", home="ids")).sandbox_id == HOME
    async with provider.fresh() as sandbox:
        assert sandbox.id is None
    async with provider.home("ids") as sandbox:
        assert sandbox.id == HOME


async def test_many_at_once_do_not_mix(provider: Provider) -> None:
    runs = await asyncio.gather(
        *(run(provider, "import sys\nprint(sys.argv[1], sys.stdin.read())", args=(str(n),), stdin=b"%d" % n) for n in range(40))
    )
    assert [done.stdout for done in runs] == [b"%d %d\n" % (n, n) for n in range(40)]


async def test_cancelling_a_run_ends_it_at_once(provider: Provider) -> None:
    running = asyncio.ensure_future(run(provider, "import time\ntime.sleep(1000)"))
    await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=2)
    assert done
    assert running.cancelled()
    assert (await run(provider, "print(1)")).stdout == b"1\n"
