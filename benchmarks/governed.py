"""What governing costs: one server that asks nobody anything, beside one with tokens, limits, quotas, metrics, an audit log and a log line."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey

from benchmarks.http_client import Connection, Question, load, run_code
from benchmarks.server import Server, running_server
from benchmarks.table import Effort, Row, in_turn, ms, ratio_of

_P50_BOUND: Final = 1.25
_RATE_BOUND: Final = 0.85
_SHARED_RATE_BOUND: Final = 0.8
_AT_ONCE: Final = 16
_SECONDS: Final = 2.0
# Bounds that are counted and never reached.
_PLAN: Final = """
[plans.bench.rates]
execute = "1000000000/minute"
query = "1000000000/minute"
concurrency = 1000
[plans.bench.quota]
period = "day"
maxExecutions = 1000000000
maxCpuSeconds = 1000000000
maxMemoryMBSeconds = 1000000000000
"""


def rows(effort: Effort) -> Generator[Row]:
    """Rows for everything on with SQLite, and where their servers are installed with PostgreSQL and Redis, each beside everything off."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sandql-bench-")))
        token = _write_key(folder / "key.pem")
        (folder / "access.toml").write_text(_PLAN)
        on: dict[str, Any] = {
            "token": token,
            "log": folder / "log",
            "jwt_key_file": folder / "key.pem",
            "access_file": folder / "access.toml",
            "metrics_port": 0,
            "log_level": "info",
            "log_format": "json",
        }
        plain = stack.enter_context(running_server(request_log=False, audit="off"))
        with running_server(**on) as governed:
            yield from _compare(plain, governed, token, "tokens, limits, quotas on SQLite, metrics, log lines", _RATE_BOUND, effort)
        if shutil.which("redis-server") is not None and shutil.which("pg_createcluster") is not None:
            with _shared() as shared, running_server(**on, **shared) as governed:
                yield from _compare(plain, governed, token, "the same with PostgreSQL and Redis", _SHARED_RATE_BOUND, effort)


def _compare(plain: Server, governed: Server, token: str, what: str, rate_bound: float, effort: Effort) -> Generator[Row]:
    bare, proven = run_code("print(1)", "python"), run_code("print(1)", "python", token=token)
    mine, others = in_turn(effort.rounds, lambda: _p50(governed, proven, effort), lambda: _p50(plain, bare, effort))
    ratio = ratio_of(mine, others)
    measured = f"{ms(median(mine))}; off {ms(median(others))}"
    yield Row(f"python `print(1)`, {what}, one at a time, p50", measured, f"≤ {_P50_BOUND:g} x off", ratio <= _P50_BOUND, ratio)
    seconds = _SECONDS * max(effort.scale, 0.1)
    mine, others = in_turn(
        effort.rounds,
        lambda: load(governed.port, proven, _AT_ONCE, seconds=seconds).per_s,
        lambda: load(plain.port, bare, _AT_ONCE, seconds=seconds).per_s,
    )
    ratio = ratio_of(mine, others)
    measured = f"{median(mine):.0f}/s; off {median(others):.0f}/s"
    yield Row(f"python `print(1)`, {what}, {_AT_ONCE} at a time", measured, f"≥ {rate_bound:g} x off", ratio >= rate_bound, ratio)


def _p50(server: Server, asked: Question, effort: Effort) -> float:
    connection = Connection(server.port)
    try:
        return median(connection.ask(asked) for _ in range(effort.runs(200)))
    finally:
        connection.close()


def _write_key(path: Path) -> str:
    """Write a public key, and return a token that is signed with the private one."""
    key = ECKey.generate_key("P-256")
    path.write_bytes(key.as_pem(private=False))
    now = int(time.time())
    return jwt.encode({"alg": "ES256"}, {"sub": "bench", "role": "developer", "plan": "bench", "iat": now, "exp": now + 3600}, key)


@contextmanager
def _shared() -> Generator[dict[str, Any]]:
    from tests.support.postgres import running_postgres  # only here: they are not needed for what else is measured
    from tests.support.redis import running_redis

    with running_postgres() as database_url, running_redis() as redis_url:
        yield {"database_url": database_url, "redis_url": redis_url}
