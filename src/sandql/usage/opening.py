"""Opening the ledger of a house."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from sandql.core.errors import ResourceError
from sandql.core.settings import Settings, SettingsError
from sandql.store.store import Store
from sandql.usage.ledger import Ledger, keep_ledger
from sandql.usage.plans import Quota
from sandql.usage.recovery import recover

_FILE: Final = "usage.journal"


@asynccontextmanager
async def open_usage(settings: Settings, store: Store, server: str, quotas: Mapping[str, Quota | None]) -> AsyncGenerator[Ledger]:
    """The ledger in the state folder, with the quota of each plan; what the last process left is settled first.

    Raises:
        SettingsError: the journal or the database cannot be used.
    """
    path = settings.state_dir / _FILE
    try:
        journal, position = await recover(store, server, path)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise SettingsError(
            f"SANDQL_STATE_DIR: the usage journal {str(path)!r} cannot be read ({error}); "
            "move it away to start without what it counts, which is about the last second before the server ended"
        ) from None
    except ResourceError as error:
        raise SettingsError(f"SANDQL_DATABASE_URL: {error.message}") from error
    async with keep_ledger(Ledger(store, server, journal, position, quotas), journal) as ledger:
        yield ledger
