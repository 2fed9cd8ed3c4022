"""Programs other than Python: they start from a waiting cell, or, where they don't fit into it, from an interpreter in one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from sandql.core.values import InputFile, Limits, Outcome
from sandql.providers.base import Provider
from tests.support.engine import cells_of, open_provider, run, supervisor_of, until, zygotes_of

pytestmark = pytest.mark.unprivileged

_MARK = "echo a-line-of-a-script-that-is-long\n"


@pytest.fixture(params=[2, 0], ids=["parked", "not parked"])
async def provider(request: pytest.FixtureRequest) -> AsyncGenerator[Provider]:
    async with open_provider(pool_size=1, node_pool_size=0, program_pool_size=request.param) as provider:
        yield provider


@pytest.mark.parametrize("size", [0, 1, 3000, 4000, 4096, 5000, 200_000])
async def test_of_every_size(provider: Provider, size: int) -> None:
    code = (_MARK * (size // len(_MARK) + 1))[:size].rpartition("\n")[0]
    done = await run(provider, code, "bash")
    assert (done.outcome, done.stdout.count(b"\n"), done.stderr) == (Outcome.COMPLETED, len(code.splitlines()), b"")


@pytest.mark.parametrize(
    ("code", "asked", "printed"),
    [
        ("cat; echo $#", {"stdin": b"x" * 300_000}, b"x" * 300_000 + b"0\n"),
        ('printf \'%s|\' "$0" "$@"', {"args": ("", "two words", "ü", "$HOME", "a\nb")}, "main.sh||two words|ü|$HOME|a\nb|".encode()),
        ('printf \'%s|\' "$ONE" "$HOME" "$LC_CTYPE"', {"env": {"ONE": "1 ü", "HOME": "/tmp"}}, "1 ü|/tmp|C.UTF-8|".encode()),
        ("cat sub/data; ls", {"files": (InputFile("sub/data", b"there"),)}, b"theremain.sh\nsub\n"),
        ("ulimit -n", {"limits": Limits(open_files=17)}, b"17\n"),
        ("pwd; umask; id -u; trap; ulimit -c", {}, b"/workspace\n0022\n1000\n0\n"),
        ("yes | head -1; echo ${PIPESTATUS[0]}", {}, b"y\n141\n"),
        ("ls /proc/self/fd | tr '\\n' ' '", {}, b"0 1 2 3 "),
    ],
    ids=["stdin", "arguments", "environment", "files", "limits", "state", "a broken pipe", "descriptors"],
)
async def test_it_gets_what_was_asked(provider: Provider, code: str, asked: dict[str, Any], printed: bytes) -> None:
    done = await run(provider, code, "bash", **asked)
    assert (done.stdout, done.stderr, done.outcome) == (printed, b"", Outcome.COMPLETED)


async def test_a_large_environment_and_long_arguments_arrive_whole(provider: Provider) -> None:
    args = tuple(str(number) * 50 for number in range(200))
    done = await run(provider, 'printf %s "$*" | md5sum; printf %s "$BIG" | wc -c', "bash", args=args, env={"BIG": "b" * 100_000})
    assert done.exit_code == 0
    assert done.stdout.split(b"\n")[1].strip() == b"100000"


async def test_each_gets_a_cell_of_its_own_however_many_come(provider: Provider) -> None:
    runs = await asyncio.gather(*(run(provider, f"ls | wc -l; touch /tmp/x $RANDOM; echo {number}", "bash") for number in range(20)))
    assert [done.stdout for done in runs] == [b"1\n%d\n" % number for number in range(20)]


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("bash", "trap"),
        ("python", "import signal\nprint(*(n for n in (1, 3, 10) if signal.getsignal(n) is signal.SIG_IGN), end='')"),
    ],
    ids=["bash", "python"],
)
async def test_what_the_server_ignores_programs_do_not(language: str, code: str) -> None:
    """As a server does that was started by nohup."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)}
    try:
        async with open_provider(pool_size=1, node_pool_size=0, program_pool_size=1) as provider:
            done = await run(provider, code, language)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert (done.stdout, done.stderr, done.outcome) == (b"", b"", Outcome.COMPLETED)


async def test_waiting_cells_end_with_their_server() -> None:
    async with open_provider(pool_size=1, node_pool_size=0, program_pool_size=3) as provider:
        (zygote,) = zygotes_of(supervisor_of())
        assert await until(lambda: len(cells_of(zygote)) == 4)
        await provider.aclose()
        assert await until(lambda: not cells_of(zygote))
