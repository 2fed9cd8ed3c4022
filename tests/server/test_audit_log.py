"""The audit log of a real server: what was done and refused is in it, over kills and restarts, and nothing that is secret."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2

from tests.support.server import Server, running_server

_SMALL = {"pool_size": 2, "node_pool_size": 0, "program_pool_size": 0}
_RUN = 'mutation ($code: String!) { executeCode(code: $code, language: "python", sandboxId: "home") { output } }'
_SECRET = "planted-7c1e"


def _ask(server: Server, query: str, **variables: Any) -> dict[str, Any]:
    return httpx2.post(f"{server.url}/graphql", json={"query": query, "variables": variables}, timeout=60).json()


def _verify(state: Path, *more: str) -> tuple[int, str]:
    environment = {**os.environ, "SANDQL_STATE_DIR": str(state)}
    done = subprocess.run([sys.executable, "-m", "sandql", "audit", "verify", *more], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_log_holds_what_was_done_over_a_kill(tmp_path: Path) -> None:
    for turn in range(2):
        with running_server(state_dir=tmp_path, **_SMALL) as server:  # pyright: ignore[reportArgumentType]
            assert _ask(server, _RUN, code=f"print('{_SECRET}')")["data"]["executeCode"]["output"] == f"{_SECRET}\n"
            _ask(server, 'mutation ($text: String!) { writeFile(path: "a", content: $text) }', text=_SECRET)
            _ask(server, '{ readFile(path: "a") { content } sandboxes { nodes { id } } }')
            _ask(server, 'mutation { destroySandbox(id: "sb_none") }')
            if turn == 0:
                server.process.send_signal(signal.SIGKILL)
                server.process.wait(20)
    (file,) = (tmp_path / "audit").iterdir()
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    once = [
        ("execute", "home", "allowed"),
        ("write_file", None, "allowed"),
        ("destroy_sandbox", "sb_none", "allowed"),
        ("destroy_sandbox", "sb_none", "failed"),
    ]
    assert [(line["operation"], line.get("sandbox"), line["decision"]) for line in lines] == once * 2
    assert {(line["subject"], line["role"]) for line in lines} == {("local", "admin")}
    assert _SECRET not in file.read_text()
    assert _verify(tmp_path) == (0, f"OK: 8 lines, 1 to 8; the last has the hash {lines[-1]['hash']}\n")
    file.write_bytes(file.read_bytes().replace(b"write_file", b"list_files", 1))
    status, said = _verify(tmp_path, str(file))
    assert (status, said) == (1, f"WRONG: {file.name}, line 2: it was changed: its hash is another\n1 lines before it are right\n")


def test_without_a_log_there_is_none(tmp_path: Path) -> None:
    with running_server(state_dir=tmp_path, audit="off", **_SMALL) as server:  # pyright: ignore[reportArgumentType]
        assert "errors" not in _ask(server, _RUN, code="")
    assert not (tmp_path / "audit").exists()
    status, said = _verify(tmp_path)
    assert status == 2
    assert "audit" in said
