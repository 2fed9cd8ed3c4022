"""`sandql usage export` and `sandql audit verify`: what is said when there is nothing to read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sandql.store.database import open_database
from sandql.store.migrate import migrate
from tests.cli.command import sandql_command

_OLDER = "0002"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["usage", "export", "--csv"], "SANDQL_STATE_DIR: '{folder}/sandql.db' cannot be read: No such file or directory"),
        (["usage", "export", "--csv", "--from", "2026-02-01", "--to", "2026-01-01"], "--from: must not be after --to"),
        (["usage", "export", "--csv", "--from", "2026-2-1"], "--from: must be a date, as 2026-01-31, got '2026-2-1'"),
        (["usage", "export", "--csv", "--from", "2026-W01-1"], "--from: must be a date, as 2026-01-31, got '2026-W01-1'"),
        (["usage", "export", "--csv", "--to", "2026-W01-1"], "--to: must be a date, as 2026-01-31, got '2026-W01-1'"),
        (["usage", "export"], "usage export: give --csv"),
        (["audit", "verify"], "{folder}/audit: there is no audit log"),
        (["audit", "verify", "/"], "/: there is no audit log"),
    ],
)
def test_what_is_not_there_is_said_in_one_line_and_not_made(tmp_path: Path, arguments: list[str], said: str) -> None:
    folder = tmp_path / "nothing"
    done = sandql_command(*arguments, settings={"SANDQL_STATE_DIR": str(folder)})
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("sandql: " + said.format(folder=folder))
    assert not folder.exists()


@pytest.mark.parametrize("arguments", [["usage", "export", "--csv"], ["keys", "list"], ["keys", "create", "ci"]])
async def test_the_tables_of_a_server_of_an_older_version_are_left_to_it(tmp_path: Path, arguments: list[str]) -> None:
    async with open_database(None, tmp_path) as database, database.write() as connection:
        await connection.run_sync(migrate, _OLDER)

    def schema() -> list[tuple[str]]:
        with closing(sqlite3.connect(tmp_path / "sandql.db")) as file:
            return file.execute("SELECT sql FROM sqlite_master UNION ALL SELECT version_num FROM alembic_version ORDER BY 1").fetchall()

    before = schema()
    assert (_OLDER,) in before
    done = sandql_command(*arguments, settings={"SANDQL_STATE_DIR": str(tmp_path)})
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.endswith("of version 0002, older than this sandql; start the server of this version first")
    assert schema() == before
