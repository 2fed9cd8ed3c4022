"""Each role, each operation, each door: who may, gets what it asks for; who may not, is told so, and nothing has happened."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed

from tests.access.documents import ROOT_FIELDS, RootField
from tests.access.doors import DOORS, codes, takes
from tests.support.server import Server, running_server
from tests.support.tokens import SECRET, bearer
from tests.websocket.client import WAIT_S, socket

_RUN, _FILES, _MAKE, _RULE = "canExecuteCode", "canAccessFiles", "canCreateSandbox", "canAdminister"
_ROLES: Final[dict[str, frozenset[str]]] = {
    "viewer": frozenset(),
    "runner": frozenset({_RUN}),
    "filer": frozenset({_FILES}),
    "maker": frozenset({_MAKE}),
    "developer": frozenset({_RUN, _FILES, _MAKE}),
    "admin": frozenset({_RUN, _FILES, _MAKE, _RULE}),
}
_PERMISSIONS: Final = {_RUN: "EXECUTE_CODE", _FILES: "ACCESS_FILES", _MAKE: "CREATE_SANDBOX", _RULE: "ADMINISTER"}
_OWN_ROLES: Final = "".join(f"[roles.{role}]\n{granted} = true\n" for role, granted in (("runner", _RUN), ("filer", _FILES), ("maker", _MAKE)))

# What each operation needs, written down a second time: by who uses the service, not by who built it.
_NEEDS: Final[dict[str, frozenset[str]]] = {
    _RUN: frozenset(
        "executeCode runCommand startExecution startCommand sendInput closeInput cancelExecution createContext interruptContext restartContext "
        "closeContext createTerminal terminalInput resizeTerminal closeTerminal terminalOutput".split()
    ),
    _FILES: frozenset("listFiles files file readFile writeFile uploadFile makeDirectory moveFile copyFile removeFile fileChanges".split()),
    _MAKE: frozenset("createSandbox extendSandbox destroySandbox".split()),
    _RULE: frozenset("apiKeys createApiKey revokeApiKey rotateApiKey".split()),
}
_FREE: Final = frozenset(
    "providers languages templates viewer sandbox sandboxes execution executions context contexts terminal terminals executionEvents sandboxEvents "
    "usageUpdated".split()
)
_OF_OTHERS: Final = tuple(field for field in ROOT_FIELDS if "owner" in field.ids)
_SMALL: Final[dict[str, Any]] = {"pool_size": 2, "node_pool_size": 0, "program_pool_size": 1}


@dataclass(frozen=True, slots=True)
class House:
    """A server that knows callers, and its state folder."""

    server: Server
    state: Path

    def trace(self) -> tuple[dict[str, int], set[str]]:
        """What is kept here: how many rows of what, and which homes and logs."""
        with closing(sqlite3.connect(f"file:{self.state / 'sandql.db'}?mode=ro", uri=True)) as database:
            counts = {
                table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("sandboxes", "executions", "idempotency_keys")
            }
        kept = {str(path.relative_to(self.state)) for folder in ("homes", "executions") for path in (self.state / folder).glob("*")}
        return counts, kept


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One house for all: each case has a subject of its own."""
    with tempfile.TemporaryDirectory(prefix="sandql-test-") as folder:
        access, state = Path(folder) / "access.toml", Path(folder) / "state"
        access.write_text(_OWN_ROLES)
        state.mkdir()
        with running_server(state_dir=state, access_file=access, jwt_secret=SECRET, address_rate="1000000/minute", **_SMALL) as server:
            yield House(server, state)


def _needs(field: RootField) -> str | None:
    (needed,) = [permission for permission, names in _NEEDS.items() if field.name in names] or [None]
    return needed


def test_every_operation_is_in_the_table_once() -> None:
    named = [name for names in (*_NEEDS.values(), _FREE) for name in names]
    assert sorted(named) == sorted({field.name for field in ROOT_FIELDS})


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("role", _ROLES)
def test_a_role_does_what_it_may_and_nothing_else(house: House, role: str, door: str) -> None:
    before = house.trace()
    refused_fields: list[str] = []
    for field in (field for field in ROOT_FIELDS if takes(door, field)):
        needed = _needs(field)
        if needed is None or needed in _ROLES[role]:
            continue
        errors = DOORS[door](house.server, field, field.document(), bearer(f"denied-{role}-{door}", role))
        assert codes(errors) == {"FORBIDDEN"}, f"{field} as {role}: {errors}"
        (message,) = [error["message"] for error in errors]
        assert message == f"{field.name}: needs the permission {_PERMISSIONS[needed]}, which the role {role!r} does not grant"
        refused_fields.append(field.name)
    assert house.trace() == before, f"something happened, though all of {refused_fields} were refused"
    for field in (field for field in ROOT_FIELDS if takes(door, field)):
        needed = _needs(field)
        if needed is None or needed in _ROLES[role]:
            errors = DOORS[door](house.server, field, field.document(), bearer(f"allowed-{role}-{door}", role))
            assert codes(errors) <= {"NOT_FOUND", "BAD_REQUEST"}, f"{field} as {role}: {errors}"


@pytest.mark.parametrize("door", [door for door in DOORS if any(takes(door, field) for field in _OF_OTHERS)])
@pytest.mark.parametrize("role", _ROLES)
def test_to_act_for_another_is_for_administrators(house: House, role: str, door: str) -> None:
    before = house.trace()
    for field in (field for field in _OF_OTHERS if takes(door, field)):
        errors = DOORS[door](house.server, field, field.document(owner="jwt:somebody"), bearer(f"acting-{role}-{door}", role))
        if _RULE in _ROLES[role]:
            assert codes(errors) <= {"NOT_FOUND"}, f"{field} as {role}: {errors}"
        else:
            assert codes(errors) == {"FORBIDDEN"}, f"{field} as {role}: {errors}"
    if _RULE not in _ROLES[role]:
        assert house.trace() == before


@pytest.mark.parametrize("door", [door for door in DOORS if door != "socket"])
def test_without_a_credential_nothing_is_done_through_any_door(house: House, door: str) -> None:
    before = house.trace()
    for field in (field for field in ROOT_FIELDS if takes(door, field)):
        for headers in ({}, {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."}):
            errors = DOORS[door](house.server, field, field.document(), headers)
            assert codes(errors) == {"UNAUTHENTICATED"}, f"{field}: {errors}"
    assert house.trace() == before


def test_without_a_credential_no_socket_is_opened(house: House) -> None:
    before = house.trace()
    for payload in ({}, {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."}):
        with socket(house.server.ws_url, init=False) as connection:
            with suppress(ConnectionClosed):  # it may be faster than all that is sent
                connection.send({"type": "connection_init", "payload": payload})
                for field in ROOT_FIELDS:
                    query, variables = field.document()
                    connection.subscribe(field.name, query, **variables)
            assert connection.closed()[0] in (4401, 4403)
    assert house.trace() == before


@pytest.mark.parametrize("role", _ROLES)
def test_files_over_plain_http_need_what_files_need(house: House, role: str) -> None:
    address = f"{house.server.url}/sandboxes/home/files"
    before = house.trace()
    with httpx2.Client(headers=bearer(f"files-{role}", role), timeout=WAIT_S) as client:
        answers = [
            client.put(f"{address}/tried.txt", content=b"tried"),
            client.get(f"{address}/tried.txt"),
            client.get(address, params={"archive": "tar.gz"}),
            client.delete(f"{address}/tried.txt"),
        ]
    if _FILES in _ROLES[role]:
        assert [answer.status_code // 100 for answer in answers] == [2, 2, 2, 2]
    else:
        assert {answer.status_code for answer in answers} == {403}
        said = [answer.json()["errors"][0]["message"].split(":")[0] for answer in answers]
        assert said == ["PUT", "GET", "GET", "DELETE"]
        assert house.trace() == before
    assert httpx2.put(f"{address}/tried.txt", content=b"tried").status_code == 401
