"""A real server that is killed while it runs programs: what was acknowledged is counted, and nothing stays set aside."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.support.server import Server, running_server

_CLIENTS = 6
_KILLS = 4
_RUNS = (
    'mutation { executeCode(code: "print(1)", language: "python") { success } }',
    'mutation { executeCode(code: "print(1)", language: "python", sandboxId: "home") { success } }',
    'mutation { executeCode(code: "import time; time.sleep(0.05)", language: "python") { success } }',
)
_SEEN = "{ viewer { quota { resource used reserved } usage(by: PROVIDER) { executions } } }"
_MOST_S = 60.0


@dataclass(slots=True)
class _Clients:
    """What clients have asked for since the beginning, and what was answered; `some` is set when so much more was."""

    asked: int = 0
    answered: int = 0
    wanted: int = 0
    some: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run_until_killed(self, server: Server, seed: int) -> None:
        chance = random.Random(seed)
        with httpx2.Client(timeout=_MOST_S) as client:
            while True:
                with self._lock:
                    self.asked += 1
                try:
                    answer = client.post(f"{server.url}/graphql", json={"query": chance.choice(_RUNS)}).json()
                except (httpx2.TransportError, ValueError):  # killed, perhaps within its answer
                    return
                assert answer == {"data": {"executeCode": {"success": True}}}, answer
                with self._lock:
                    self.answered += 1
                    if self.answered >= self.wanted:
                        self.some.set()


def test_what_was_answered_is_counted_and_nothing_stays_set_aside(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "access.toml").write_text("[plans.unlimited.quota]\nmaxExecutions = 1_000_000\nmaxCpuSeconds = 1_000_000\n")
    settings: dict[str, Any] = {"state_dir": tmp_path, "access_file": tmp_path / "access.toml", "database_url": database_url, "pool_size": 2}
    chance = random.Random(41)
    clients = _Clients()
    for kills in range(_KILLS + 1):
        with running_server(**settings) as server:
            seen = httpx2.post(f"{server.url}/graphql", json={"query": _SEEN}, timeout=_MOST_S).json()["data"]["viewer"]
            executions, cpu = seen["quota"]
            assert (executions["reserved"], cpu["reserved"]) == (0, 0)
            assert clients.answered <= executions["used"] <= clients.asked
            assert sum(part["executions"] for part in seen["usage"]) == executions["used"]
            if kills == _KILLS:
                break
            clients.some.clear()
            clients.wanted = clients.answered + chance.randint(1, 150)
            with ThreadPoolExecutor(_CLIENTS) as threads:
                working = [threads.submit(clients.run_until_killed, server, chance.randrange(1 << 30)) for _ in range(_CLIENTS)]
                reached = clients.some.wait(_MOST_S)
                server.process.kill()
                server.process.wait()
            assert reached, "it answered too few"
            assert [one.result() for one in working] == [None] * _CLIENTS
    assert clients.asked - clients.answered <= _KILLS * _CLIENTS
