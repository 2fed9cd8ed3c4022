"""Bringing a journal and the database together, before a ledger is opened on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sandql.core.amounts import NOTHING, Amounts
from sandql.store.quota_rows import PeriodKey
from sandql.store.store import Store
from sandql.store.usage_rows import UsageKey, Used
from sandql.usage import clerk
from sandql.usage.journal import BYTES, CHARGED, REFUNDED, RESERVED, SETTLED, Journal, read_journal

_FILES: Final = "files"  # what stands for the language
_LOST: Final = (0, 0, 0)  # nobody knows how long it ran


def charge_of(needs: Amounts, cpu_ms: int, memory_mb_ms: int) -> Amounts:
    """What a quota is charged for a run: what it cost, and never more than was set aside for it."""
    return Amounts(needs.executions, min(cpu_ms, needs.cpu_ms), min(memory_mb_ms, needs.memory_mb_ms))


def used_by(wall_ms: int, cpu_ms: int, memory_kib: int, *, executions: int = 1) -> Used:
    """What is counted of a run that has ended, or without executions of what went on beside."""
    return Used(executions=executions, cpu_ms=cpu_ms, memory_mb_ms=memory_kib * wall_ms >> 10, wall_ms=wall_ms)


def bytes_key(owner: str, provider: str, day: str) -> UsageKey:
    """Under what bytes of files are counted, which have no language."""
    return UsageKey(owner, provider, _FILES, day)


async def recover(store: Store, server: str, path: Path) -> tuple[Journal, int]:
    """The server's journal, empty, and its position: what the last process did is counted, and what ran in it has ended.

    Of a run whose end is not in the journal the execution is counted, and no time, since nobody knows it.

    Raises:
        ResourceError: the database cannot be used.
        ValueError: the journal holds what no ledger wrote.
        OSError: it cannot be read or written.
    """
    entries = read_journal(path)
    journal = Journal(path)
    try:
        number = max([await store.write(lambda connection: clerk.usage_rows.position(connection, server)), *_numbers(entries)])
        # First it is written down that these have ended, so that one who dies here finds the same.
        for id_ in _open(entries):
            number += 1
            entry = [SETTLED, number, id_, *_LOST]
            journal.write(entry)
            entries.append(entry)
        settled = _settled(entries)
        position = await store.write(lambda connection: clerk.recover(connection, server, settled))
        journal.renew(())
    except BaseException:
        journal.close()
        raise
    return journal, max(position, number)


def _numbers(entries: list[list[Any]]) -> list[int]:
    return [entry[1] for entry in entries if entry[0] in (SETTLED, BYTES, CHARGED)]


def _open(entries: list[list[Any]]) -> list[int]:
    """Ids of runs whose end is not written."""
    found: dict[int, None] = {}
    for entry in entries:
        if entry[0] == RESERVED:
            found[entry[1]] = None
        elif entry[0] == SETTLED:
            found.pop(entry[2], None)
        elif entry[0] == REFUNDED:
            found.pop(entry[1], None)
    return list(found)


def _settled(entries: list[list[Any]]) -> list[tuple[int, UsageKey, Used, PeriodKey | None, Amounts]]:
    runs = {entry[1]: entry for entry in entries if entry[0] == RESERVED}
    found: list[tuple[int, UsageKey, Used, PeriodKey | None, Amounts]] = []
    for entry in entries:
        if entry[0] == BYTES:
            _, number, owner, provider, day, stored, sent = entry
            found.append((number, bytes_key(owner, provider, day), Used(bytes_stored=stored, bytes_sent=sent), None, NOTHING))
        elif entry[0] == CHARGED:
            _, number, owner, provider, language, day, period, starts_at, *cost = entry
            used = used_by(*cost, executions=0)
            key = PeriodKey(owner, period, starts_at) if period else None
            found.append((number, UsageKey(owner, provider, language, day), used, key, Amounts(0, used.cpu_ms, used.memory_mb_ms)))
        elif entry[0] == SETTLED:
            _, number, id_, *cost = entry
            _, _, owner, provider, language, day, period, starts_at, *needs = runs[id_]
            used = used_by(*cost)
            key = PeriodKey(owner, period, starts_at) if period else None
            found.append((number, UsageKey(owner, provider, language, day), used, key, charge_of(Amounts(*needs), used.cpu_ms, used.memory_mb_ms)))
    return found
