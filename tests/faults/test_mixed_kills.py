"""The whole server is killed at random moments under a load of every kind; what it had acknowledged is there each time it starts again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
from pathlib import Path
from typing import Any

from tests.load.callers import KINDS, call_for_ever, follow
from tests.load.ledger import Ledger
from tests.load.session import Refused, Session, open_session
from tests.support.engine import alive, descendants, identity, until
from tests.support.server import Server, running_server

TIMES = 50
_BOUNDS: dict[str, Any] = {
    "pool_size": 4,
    "node_pool_size": 0,
    "program_pool_size": 0,
    "max_terminals": 1000,
    "max_contexts": 1000,
    "max_executions": 1000,
}
_READ = "query ($id: ID, $path: String!) { readFile(sandboxId: $id, path: $path) { content } }"
_STATUS = "query ($id: ID!) { sandbox(id: $id) { status } }"


async def _content(session: Session, sandbox: str, path: str) -> str | None:
    try:
        return (await session.call(_READ, id=sandbox, path=path))["readFile"]["content"]
    except Refused as refused:
        if refused.code != "NOT_FOUND":
            raise
        return None


async def _status(session: Session, id_: str) -> str:
    try:
        return (await session.call(_STATUS, id=id_))["sandbox"]["status"]
    except Refused as refused:
        return refused.code


async def _check(server: Server, ledger: Ledger) -> None:
    """Compare what the server has with what it had said."""
    async with open_session(server.ws_url) as session:
        for run in ledger.runs.values():
            if run.outcome is None:
                await follow(session, ledger, run, may_be_lost=True)
        for sandbox, path in list(ledger.files):
            if sandbox == "home" or sandbox in ledger.sandboxes:
                content = await _content(session, sandbox, path)
                ledger.check_file(sandbox, path, content)
                if content is not None:
                    ledger.written(sandbox, path, content)
        for id_ in ledger.sandboxes:
            status = await _status(session, id_)
            if status not in ("RUNNING", "IDLE"):
                ledger.wrong.append(f"{id_} was made, and is {status}")
        for id_ in ledger.destroyed:
            status = await _status(session, id_)
            if status != "DESTROYED":
                ledger.wrong.append(f"{id_} was destroyed, and is {status}")
    assert ledger.wrong == []


async def _load_until_killed(server: Server, ledger: Ledger, seconds: float) -> None:
    callers = [asyncio.ensure_future(call_for_ever(server.ws_url, ledger, number, may_be_lost=True)) for number in range(2 * len(KINDS))]
    await asyncio.sleep(seconds)
    members = {identity(pid) for pid in descendants(server.process.pid)}
    os.kill(server.process.pid, signal.SIGKILL)
    for caller in callers:
        caller.cancel()
    for ended in await asyncio.gather(*callers, return_exceptions=True):
        if isinstance(ended, Exception):
            ledger.wrong.append(repr(ended))
    assert await until(lambda: not alive(members)), f"processes are left: {alive(members)}"


def test_what_was_acknowledged_survives_every_kill() -> None:
    ledger, chance = Ledger(), random.Random(4)
    with tempfile.TemporaryDirectory(prefix="sandql-mixed-", dir="/var/tmp") as folder:
        for _ in range(TIMES):
            with running_server(state_dir=folder, **_BOUNDS) as server:
                asyncio.run(_check(server, ledger))
                asyncio.run(_load_until_killed(server, ledger, chance.uniform(0.05, 1.2)))
        with running_server(state_dir=folder, **_BOUNDS) as server:
            asyncio.run(_check(server, ledger))
        assert not list((Path(folder) / "homes").glob("*/uploads/*"))
    done = ledger.done
    assert {"files", "runs", "sandboxes", "terminals", "contexts"} <= set(done), done
