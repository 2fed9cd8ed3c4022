"""Many clients of every kind for some seconds: nothing is lost, nothing comes twice, and nothing is left when they have gone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.load.callers import KINDS
from tests.support.engine import cgroup_folders, descendants, open_descriptors, status_of
from tests.support.server import Server, running_server
from tests.support.twin_server import wait_for

CLIENTS = 56
SECONDS = 12
_BOUNDS: dict[str, Any] = {"max_terminals": 1000, "max_contexts": 1000, "max_executions": 1000, "max_sandboxes": 100_000, "max_connections": 4000}
_GROWTH_KIB = 96 << 10


def _drive(server: Server, clients: int, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.load.clients", server.ws_url, str(clients), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=seconds + 120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_is_lost_doubled_or_left() -> None:
    with running_server(**_BOUNDS) as server:
        pid = server.process.pid
        _drive(server, len(KINDS), 2)  # what is made once is made
        processes, descriptors = len(descendants(pid)), len(open_descriptors(pid))
        memory_kib = int(status_of(pid)["VmRSS"].split()[0])
        found = _drive(server, CLIENTS, SECONDS)
        assert found["wrong"] == []
        done: dict[str, int] = found["done"]
        assert {turn.__name__ for turn in KINDS} <= set(done), f"everybody got something done: {done}"
        wait_for(lambda: len(descendants(pid)) <= processes + CLIENTS * 2, "programs that were left to themselves end", 90)
        wait_for(lambda: len(open_descriptors(pid)) <= descriptors + CLIENTS * 12, "descriptors are given back", 30)
        assert int(status_of(pid)["VmRSS"].split()[0]) - memory_kib < _GROWTH_KIB
        assert not [line for line in server.log if "[error" in line]
    assert descendants(pid) == {}
    assert cgroup_folders(pid) == set()
