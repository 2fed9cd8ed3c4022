"""The house without its doors, for tests: a real provider, a database, and callers."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from sandql.core.settings import load_settings
from sandql.core.values import Caller
from sandql.sandboxes.borrow import Sandboxes
from sandql.sandboxes.house import open_sandboxes
from tests.support.engine import opened_last

ALICE, BOB = Caller("alice"), Caller("bob")
_SMALL = {"pool_size": 2, "node_pool_size": 0, "program_pool_size": 0}


@asynccontextmanager
async def open_house(state_dir: Path | None = None, **settings: object) -> AsyncGenerator[Sandboxes]:
    """An open house with these settings, in a new state folder unless one is given; closed on every way out."""
    with opened_last(), tempfile.TemporaryDirectory(prefix="sandql-house-", dir="/var/tmp") as folder:
        chosen = load_settings(**{"state_dir": state_dir or Path(folder), **_SMALL, **settings})
        async with open_sandboxes(chosen) as sandboxes:
            yield sandboxes
