"""What docs/authentication.md and docs/rate-limits.md tell clients to do, done as it stands there against a server that wants credentials."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import environment, sandql_command
from tests.clients.test_npm_clients import HELLO, TWO_LINES
from tests.support.documented import at, block, blocks
from tests.support.node import run_node
from tests.support.server import Server, running_server
from tests.support.tokens import SECRET, token

PAGE = "authentication.md"
ACCESS = """
[plans.strict.rates]
execute = "1/15 minutes"
[plans.slow.rates]
execute = "1/4 seconds"
[plans.tiny.quota]
maxExecutions = 1
"""

Module = Callable[..., str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of the server, and what lies beside it."""
    return tmp_path_factory.mktemp("guarded")


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[Server]:
    """A server that lets nobody in without a token or an API key."""
    access = folder / "access.toml"
    access.write_text(ACCESS)
    with running_server(jwt_secret=SECRET, jwt_leeway_s=0, access_file=access, state_dir=folder / "state", address_rate="1000/minute") as server:
        yield server


@pytest.fixture(scope="module")
def key(folder: Path, guarded: Server) -> str:
    """An API key of that server."""
    settings = {"SANDQL_STATE_DIR": str(folder / "state")}
    return sandql_command("keys", "create", "clients", "--plan", "unlimited", settings=settings).stdout.decode().strip()


@pytest.fixture
def module(tmp_path: Path, scripts: Path, guarded: Server) -> Module:
    """Writes snippets of the documents as one module that exports these names, and answers its path."""
    (tmp_path / "node_modules").symlink_to(scripts / "node_modules")

    def write(name: str, *snippets: str, exports: str) -> str:
        path = tmp_path / name
        path.write_text(at("\n".join(snippets), guarded.url) + f"\nexport {{ {exports} }};\n")
        return str(path)

    return write


@pytest.fixture
def apollo(module: Module) -> str:
    """The Apollo Client of the page, with its socket."""
    return module("apollo.mjs", block(PAGE, "js", "GraphQLWsLink"), exports="client, socket, auth")


@pytest.fixture
def others(module: Module) -> str:
    """The other clients of the page."""
    return module("others.mjs", block(PAGE, "js", "graphql-sse"), exports="events, urql")


def run(scripts: Path, name: str, server: Server, *args: str) -> dict[str, Any]:
    seen: dict[str, Any] = run_node(scripts / name, server.url + "/graphql", server.ws_url, *args)
    return seen


@pytest.mark.parametrize("kind", ["token", "API key"])
def test_every_client_comes_in(scripts: Path, guarded: Server, key: str, apollo: str, others: str, kind: str) -> None:
    me, credential = ("jwt:/ann", token("ann")) if kind == "token" else ("key:/clients", key)
    seen = run(scripts, "credentials.mjs", guarded, credential, apollo, others)
    assert sorted(seen) == ["apollo", "graphql-sse", "graphql-ws", "urql"]
    for client, did in seen.items():
        assert (did["me"]["id"], did["me"]["role"]) == (me, "developer"), client
        assert {name: did["executed"][name] for name in HELLO} == HELLO, client
        assert did["streamed"] == TWO_LINES, client


def test_a_run_is_followed_over_the_ends_of_tokens(scripts: Path, guarded: Server, module: Module) -> None:
    snippets = block(PAGE, "js", "GraphQLWsLink"), block(PAGE, "js", "async function* follow")
    seen = run(scripts, "expiring.mjs", guarded, SECRET, module("follow.mjs", *snippets, exports="client, socket, follow"))
    assert seen["closes"][:2] == [[4403, "Forbidden: the credential is not valid any more"]] * 2
    assert seen["seqs"] == list(range(1, len(seen["seqs"]) + 1)), "each event once, in order"
    assert seen["text"].split() == [str(number) for number in range(len(seen["text"].split()))]
    assert seen["outcome"] == "COMPLETED"


def test_who_proves_nothing_sees_so_and_gives_up(scripts: Path, guarded: Server, apollo: str, others: str) -> None:
    with running_server(jwt_secret=SECRET, address_rate="2/minute") as limited:
        seen = run(scripts, "refused.mjs", guarded, limited.ws_url, apollo, others)
    assert seen["http"] == seen["urql"] == ["UNAUTHENTICATED"]
    assert seen["socket"] == [4403, "Forbidden"]
    assert seen["apolloSocket"] == "Error: Socket closed with event 4403 Forbidden"
    assert seen["events"] == ["NetworkError", 401, "UNAUTHENTICATED"]
    assert seen["attempts"] == {"closes": [4403] * 6, "last": 4403}, "graphql-ws tries again five times, unless told otherwise"
    assert seen["limited"] == {"closes": [4403, 4403, 1013, 1013], "last": 1013}, "an address that was wrong too often is to try later"
    assert seen["eventRequests"] == 6


def test_who_asks_too_often_is_told_how_long_to_wait_and_can(scripts: Path, guarded: Server, apollo: str, module: Module) -> None:
    patient = module("patient.mjs", block("rate-limits.md", "js", "RetryLink"), exports="link")
    seen = run(scripts, "limited.mjs", guarded, SECRET, apollo, patient)
    assert seen["rated"] == seen["ratedSocket"] == [{"code": "RATE_LIMITED", "waits": True}]
    assert seen["outputs"] == ["hello\n", "hello\n"]
    assert seen["requests"] >= 3, "the second was refused at first"
    assert seen["spent"] == [{"code": "QUOTA_EXCEEDED", "waits": True}]


@pytest.mark.parametrize("kind", ["token", "API key"])
async def test_python(guarded: Server, key: str, kind: str) -> None:
    me, credential = ("jwt:/pia", token("pia")) if kind == "token" else ("key:/clients", key)
    (program,) = blocks(PAGE, "python")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", at(program, guarded.url)),
        env={**os.environ, "TOKEN": credential},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    assert (process.returncode, stderr.decode()) == (0, "")
    assert f"'id': '{me}'" in stdout.decode()
    assert stdout.decode().count("'42\\n'") == 2, "by the mutation, and by the subscription"


def shell(tmp_path: Path, script: str, **variables: str) -> str:
    """What a script of the documents prints on a machine where `sandql` is a command."""
    command = tmp_path / "sandql"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m sandql "$@"\n')
    command.chmod(0o755)
    own = environment(variables)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], env={**own, "PATH": f"{tmp_path}:{own['PATH']}"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_keys_are_made_and_rotated_as_shown(tmp_path: Path) -> None:
    script = block(PAGE, "sh", "keys create")
    printed = shell(tmp_path, script + "\nsandql keys list", SANDQL_STATE_DIR=str(tmp_path / "state"))
    assert printed.count("sandql_") == 2, "the administrator's key, and the new one"
    last = printed[printed.rindex("\nid  ") :].splitlines()[2:]
    assert [line.split()[1:3] for line in last] == [["valid", "developer"], ["revoked", "developer"], ["valid", "admin"]]


def test_curl_sends_both_kinds_by_both_headers(tmp_path: Path, guarded: Server, key: str) -> None:
    script = at(block(PAGE, "sh", "X-API-Key"), guarded.url)
    for credential, me in ((token("cat"), "jwt:/cat"), (key, "key:/clients")):
        printed = shell(tmp_path, script, TOKEN=credential, KEY=credential)
        assert printed.count(f'{{"data":{{"viewer":{{"id":"{me}"}}}}}}') == 2
