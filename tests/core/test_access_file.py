"""The file of roles and plans: what is taken, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandql.core.access_file import read_access_file
from sandql.core.settings import SettingsError

pytestmark = pytest.mark.unit


def test_tables_come_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "access.toml"
    file.write_text('[roles.student]\ncanExecuteCode = true\n[plans.class.rates]\nexecute = "10/minute"\n[plans.class.quota]\nmaxExecutions = 5\n')
    read = read_access_file(file)
    assert read.roles == {"student": {"canExecuteCode": True}}
    assert read.rates == {"class": {"execute": "10/minute"}}
    assert read.quotas == {"class": {"maxExecutions": 5}}
    assert read_access_file(None).roles == {}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("roles = 1", "roles must be a table"),
        ("[roles]\nstudent = 1", "roles.student must be a table"),
        ("[rolls.student]", "rolls is not known"),
        ("[plans.class.rate]", "plans.class.rate is not known"),
        ("[plans.class]\nquota = 3", "plans.class.quota must be a table"),
        ("[", "cannot be read"),
    ],
)
def test_what_is_not_known_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "access.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=named):
        read_access_file(file)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SANDQL_ACCESS_FILE"):
        read_access_file(tmp_path / "nothing.toml")
