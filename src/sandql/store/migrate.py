"""Bringing a database up to date, or back. It runs by itself at the start of the server."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

LATEST: Final = "head"
EMPTY: Final = "base"
_LOCK: Final = 0x73616E64716C  # of PostgreSQL's advisory locks: two servers that start at the same time migrate one after the other


class NewerDatabaseError(Exception):
    """The database was made by a newer version of sandql than this."""


class OlderDatabaseError(Exception):
    """The database was made by an older version of sandql than this, a server of which may be using it."""


def migrate(connection: Connection, target: str = LATEST, *, upgrade: bool = True) -> None:
    """Bring the tables to a version, in the connection's transaction; a database that is there already is left alone.

    Raises:
        NewerDatabaseError: it is of a version that is not known here.
        OlderDatabaseError: it is of an older version than wanted, and not to be upgraded; an empty one is never of an older one.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    current = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(config)
    try:
        scripts.get_revision(current or "base")
    except CommandError:
        raise NewerDatabaseError(
            f"the database is of version {current}, which this sandql does not know; use the newer sandql that made it"
        ) from None
    if target == LATEST and current == scripts.get_current_head():
        return
    if not upgrade and current is not None:
        raise OlderDatabaseError(f"the database is of version {current}, older than this sandql; start the server of this version first")
    if target == EMPTY or (target != LATEST and current is not None and target < current):
        command.downgrade(config, target)
    else:
        command.upgrade(config, target)
