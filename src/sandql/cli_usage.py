"""`sandql usage`: what was used, for those who write bills."""

from __future__ import annotations

import asyncio
import csv
import sys
from datetime import date
from typing import Any, Final

from sandql.core.errors import ResourceError
from sandql.core.settings import Settings, SettingsError
from sandql.store import usage_rows
from sandql.store.database import SQLITE_FILE, open_database
from sandql.store.usage_rows import Used

_KEYS: Final = ("day", "owner", "provider", "language")
_COLUMNS: Final = (*_KEYS, "executions", "cpu_seconds", "memory_mb_seconds", "wall_seconds", "bytes_stored", "bytes_sent")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # with which a cell begins that a spreadsheet executes


def export(settings: Settings, first: str | None, last: str | None) -> int:
    """Print what everybody used from one day to another, both included, as CSV; return the code to exit with."""
    for name, day in (("--from", first), ("--to", last)):
        if day is not None and not _is_day(day):
            print(f"sandql: {name}: must be a date, as 2026-01-31, got {day[:40]!r}", file=sys.stderr)
            return 2
    if first is not None and last is not None and first > last:
        print(f"sandql: --from: must not be after --to, got {first} and {last}", file=sys.stderr)
        return 2
    file = settings.state_dir / SQLITE_FILE
    if settings.database_url is None:
        try:
            file.stat()
        except OSError as error:  # to open it would make it
            print(
                f"sandql: SANDQL_STATE_DIR: {str(file)!r} cannot be read: {error.strerror}; a server makes it when it starts there", file=sys.stderr
            )
            return 2
    try:
        found = asyncio.run(_read(settings, first or date.min.isoformat(), last or date.max.isoformat()))
    except SettingsError as error:
        print(f"sandql: {error}", file=sys.stderr)
        return 2
    except ResourceError as error:
        print(f"sandql: {error.message}", file=sys.stderr)
        return 1
    lines = csv.writer(sys.stdout, lineterminator="\n")
    lines.writerow(_COLUMNS)
    for keys, used in found:
        lines.writerow((*map(_cell, keys), *_numbers(used)))
    return 0


async def _read(settings: Settings, first: str, last: str) -> list[tuple[tuple[str, ...], Used]]:
    # A server of an older version may be using it.
    async with open_database(settings.database_url, settings.state_dir, upgrade=False) as database, database.read() as connection:
        return await usage_rows.sums(connection, None, first, last, _KEYS)


def _numbers(used: Used) -> tuple[Any, ...]:
    seconds = (f"{value / 1000:.3f}" for value in (used.cpu_ms, used.memory_mb_ms, used.wall_ms))
    return (used.executions, *seconds, used.bytes_stored, used.bytes_sent)


def _cell(text: str) -> str:
    """A text that a spreadsheet does not take for a formula: a caller may have chosen it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _is_day(text: str) -> bool:
    try:
        usage_rows.read_day(text)
    except ValueError:
        return False
    return True
