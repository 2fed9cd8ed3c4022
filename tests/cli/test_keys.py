"""`sandql keys`: what is printed where, and what it does to a server that runs."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.cli.command import environment, sandql_command, start
from tests.support.server import running_server
from tests.support.twin_server import TwinServer, running_twin, wait_for

QUERY = {"query": "{ viewer { id role plan tenant } }"}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """The settings by which a command finds the database."""
    return {"SANDQL_STATE_DIR": str(tmp_path), "SANDQL_AUTH": "required"}


def _viewer(server: TwinServer, key: str) -> httpx2.Response:
    return httpx2.post(server.url, json=QUERY, headers={"x-api-key": key})


def test_a_key_from_its_making_to_its_end(tmp_path: Path, settings: dict[str, str]) -> None:
    asked = ["--subject", "bob", "--tenant", "acme", "--role", "admin", "--plan", "pro", "--scope", "execute_code"]
    with running_twin(keep=True, auth="required", state_dir=tmp_path) as server:
        made = sandql_command("keys", "create", "ci", *asked, settings=settings)
        assert made.returncode == 0, made.stderr
        key = made.stdout.decode().strip()
        assert key.startswith("sandql_")
        assert key not in made.stderr.decode()
        assert _viewer(server, key).json()["data"]["viewer"] == {"id": "key:acme/bob", "role": "admin", "plan": "pro", "tenant": "acme"}
        id_ = key.split("_")[1]
        listed = sandql_command("keys", "list", settings=settings).stdout.decode()
        assert f"{id_}  valid    admin         pro " in listed
        assert "ci, acme/bob, EXECUTE_CODE" in listed
        assert key.rpartition(id_ + "_")[2] not in listed
        rotated = sandql_command("keys", "rotate", id_, "--grace", "60", settings=settings).stdout.decode().strip()
        assert _viewer(server, key).status_code == _viewer(server, rotated).status_code == 200
        revoked = sandql_command("keys", "revoke", id_, settings=settings)
        done = time.monotonic()
        assert (revoked.returncode, revoked.stderr) == (0, b"")
        wait_for(lambda: _viewer(server, key).status_code == 401, "the key is refused", 5 - (time.monotonic() - done))
        assert _viewer(server, rotated).status_code == 200


def test_what_is_done_with_keys_is_in_the_audit_log_of_the_server_that_runs(tmp_path: Path) -> None:
    settings = {"SANDQL_STATE_DIR": str(tmp_path)}
    with running_server(state_dir=tmp_path, pool_size=1, node_pool_size=0, program_pool_size=0) as server:

        def write() -> None:
            query = {"query": 'mutation { writeFile(path: "a", content: "1") }'}
            assert httpx2.post(f"{server.url}/graphql", json=query).json() == {"data": {"writeFile": True}}

        write()
        secret = sandql_command("keys", "create", "ci", settings=settings).stdout.decode().strip()
        write()
        id_ = secret.split("_")[1]
        assert sandql_command("keys", "rotate", id_, settings=settings).returncode == 0
        assert sandql_command("keys", "revoke", id_, settings=settings).returncode == 0
        write()
        assert sandql_command("keys", "revoke", "0" * 16, settings=settings).returncode == 2
        assert sandql_command("keys", "list", settings=settings).returncode == 0
        assert sandql_command("audit", "verify", settings=settings).stdout.startswith(b"OK: 8 lines, 1 to 8;")
    (file,) = (tmp_path / "audit").iterdir()
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    assert [(line["operation"], line["credential"], line.get("id"), line["decision"]) for line in lines] == [
        ("write_file", "local", None, "allowed"),
        ("create_api_key", "cli", "developer for ci", "allowed"),
        ("write_file", "local", None, "allowed"),
        ("rotate_api_key", "cli", id_, "allowed"),
        ("revoke_api_key", "cli", id_, "allowed"),
        ("write_file", "local", None, "allowed"),
        ("revoke_api_key", "cli", "0" * 16, "allowed"),
        ("revoke_api_key", "cli", "0" * 16, "failed"),
    ]
    assert {line["subject"] for line in lines if line["credential"] == "cli"} == {pwd.getpwuid(os.getuid()).pw_name}
    assert secret not in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "ci", "--role", "root"], "--role: must be one of admin, developer, viewer, got 'root'"),
        (["create", "ci", "--plan", "gold"], "--plan: must be one of enterprise, free, pro, unlimited, got 'gold'"),
        (["create", "ci", "--scope", "fly"], "EXECUTE_CODE"),
        (["create", ""], "NAME: "),
        (["create", "ci", "--tenant", "\n"], "--subject, --tenant: "),
        (["create", "ci", "--expires-in", "-1"], "--expires-in: "),
        (["revoke", "nothing"], "ID: there is no API key with this id"),
        (["rotate", "nothing"], "ID: there is no API key with this id"),
        (["rotate", "nothing", "--grace", "-1"], "--grace: "),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(settings: dict[str, str], arguments: list[str], said: str) -> None:
    done = sandql_command("keys", *arguments, settings=settings)
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("sandql: ")
    assert said in line


def test_that_keys_protect_nothing_yet_is_said(tmp_path: Path) -> None:
    done = sandql_command("keys", "create", "ci", settings={"SANDQL_STATE_DIR": str(tmp_path)})
    assert done.returncode == 0
    assert b"SANDQL_AUTH=required" in done.stderr


def test_that_there_are_no_keys_is_said_with_where_they_were_looked_for(tmp_path: Path, settings: dict[str, str]) -> None:
    done = sandql_command("keys", "list", settings=settings)
    assert (done.returncode, done.stderr.decode()) == (0, f"sandql: there are no keys in {tmp_path} yet\n")
    assert len(done.stdout.splitlines()) == 1
    sandql_command("keys", "create", "ci", settings=settings)
    done = sandql_command("keys", "list", settings=settings)
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, b"", 2)


def test_a_database_that_cannot_be_opened_is_said_in_one_line(tmp_path: Path, settings: dict[str, str]) -> None:
    (tmp_path / "sandql.db").mkdir()  # where a file must be
    done = sandql_command("keys", "list", settings=settings)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().splitlines() == [
        f"sandql: SANDQL_DATABASE_URL: sqlite+aiosqlite:///{tmp_path}/sandql.db cannot be used: unable to open database file"
    ]


def test_a_key_that_could_not_be_shown_is_said_to_be_so(settings: dict[str, str]) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-W", "error", "-m", "sandql", "keys", "create", "ci"]
        done = subprocess.run(command, env=environment(settings), stdout=full, stderr=subprocess.PIPE, check=False)
    made, useless, reason = done.stderr.decode().splitlines()
    assert (done.returncode, reason) == (1, "sandql: what it prints cannot be written: No space left on device")
    assert useless == f"sandql: it could not be shown, and nobody has it: sandql keys revoke {made.split()[1]}"
    assert sandql_command("keys", "revoke", made.split()[1], settings=settings).returncode == 0


@pytest.mark.parametrize("command", [("keys", "list"), ("schema",), ("keys", "--help")])
def test_who_stops_reading_is_told_nothing_more(settings: dict[str, str], command: tuple[str, ...]) -> None:
    with start(*command, settings=settings) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() in (b"", b"sandql: there are no keys in " + settings["SANDQL_STATE_DIR"].encode() + b" yet\n")
    assert process.returncode == 1
