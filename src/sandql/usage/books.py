"""What a ledger counted and did not tell the database yet, and what goes on: in memory, and in the journal for who comes after a crash."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from sandql.core.amounts import Amounts
from sandql.store.quota_rows import PeriodKey
from sandql.store.usage_rows import UsageKey, Used
from sandql.usage import clerk
from sandql.usage.allotment import Allotment
from sandql.usage.journal import BYTES, CHARGED, REFUNDED, RESERVED, SETTLED, Entry, Journal
from sandql.usage.meter import Cost
from sandql.usage.recovery import bytes_key, used_by

_MOST_UNTOLD: Final = 20_000  # kept in memory beside the journal
_JOURNAL_BYTES: Final = 4 << 20  # after which the journal is made anew
_DAY_S: Final = 86_400

_log: Final = structlog.get_logger()


class Settles(Protocol):
    """Who is told what becomes of something that was set aside."""

    def settle(self, reserved: Reserved, cost: Cost) -> None: ...

    def refund(self, reserved: Reserved) -> None: ...


class Reserved:
    """What is set aside for a run. See `sandql.usage.meter.Reservation`."""

    __slots__ = ("_ledger", "allotment", "id", "key", "needs")

    def __init__(self, ledger: Settles, id_: int, key: UsageKey, needs: Amounts, allotment: Allotment | None) -> None:
        self._ledger = ledger
        self.id = id_
        self.key = key
        self.needs = needs
        self.allotment = allotment

    def settle(self, cost: Cost) -> None:
        """The run has ended, and cost this."""
        self._ledger.settle(self, cost)

    def refund(self) -> None:
        """The run did not start."""
        self._ledger.refund(self)

    def entry(self) -> Entry:
        """How the journal has it."""
        period, starts_at = ("", 0) if self.allotment is None else self.allotment.key[1:]
        return (RESERVED, self.id, *self.key, period, starts_at, *self.needs)


class Books:
    """Numbers are given one after the other; the database knows up to which one it was told."""

    def __init__(self, journal: Journal, position: int) -> None:
        self._journal = journal
        self._number = position
        self._last_id = 0
        self._open: dict[int, Reserved] = {}
        self._untold: list[tuple[Reserved | None, Entry]] | None = []  # since the last batch, for a new journal; None when they are too many
        self._broken = False  # whether something is not in the journal that should be
        self._days: tuple[int, str] = (-1, "")
        self.used: dict[UsageKey, Used] = {}

    def open(self, ledger: Settles, owner: str, provider: str, language: str, needs: Amounts, allotment: Allotment | None) -> Reserved:
        """Write down what is set aside. Raises OSError: it is not written, and nothing is."""
        self._last_id += 1
        reserved = Reserved(ledger, self._last_id, UsageKey(owner, provider, language, self._day()), needs, allotment)
        self._journal.write(reserved.entry())
        self._open[reserved.id] = reserved
        return reserved

    def settle(self, reserved: Reserved, cost: Cost) -> Used | None:
        """Count a run that has ended; None when that is done already."""
        if self._open.pop(reserved.id, None) is None:
            return None
        self._keep(reserved, (SETTLED, self.next_number(), reserved.id, cost.wall_ms, cost.cpu_ms, cost.memory_kib))
        used = used_by(cost.wall_ms, cost.cpu_ms, cost.memory_kib)
        clerk.add(self.used, reserved.key, used)
        return used

    def refund(self, reserved: Reserved) -> bool:
        """Forget a run that did not start; False when it is not known any more."""
        if self._open.pop(reserved.id, None) is None:
            return False
        self._write((REFUNDED, reserved.id))
        return True

    def charge(self, owner: str, provider: str, language: str, cost: Cost, period: PeriodKey | None) -> Used:
        """Count what was used, and not set aside before, and to which quota that goes."""
        key = UsageKey(owner, provider, language, self._day())
        of = ("", 0) if period is None else period[1:]
        self._keep(None, (CHARGED, self.next_number(), *key, *of, cost.wall_ms, cost.cpu_ms, cost.memory_kib))
        used = used_by(cost.wall_ms, cost.cpu_ms, cost.memory_kib, executions=0)
        clerk.add(self.used, key, used)
        return used

    def count_bytes(self, owner: str, provider: str, stored: int, sent: int) -> None:
        """Count bytes of files."""
        day = self._day()
        self._keep(None, (BYTES, self.next_number(), owner, provider, day, stored, sent))
        clerk.add(self.used, bytes_key(owner, provider, day), Used(bytes_stored=stored, bytes_sent=sent))

    def next_number(self) -> int:
        """A number behind all others."""
        self._number += 1
        return self._number

    def take_used(self) -> Mapping[UsageKey, Used]:
        """What was counted since the last time."""
        used, self.used, self._untold = self.used, {}, []
        return used

    def tidy(self) -> None:
        """Make the journal anew when it is long; what `take_used` gave must be in the database."""
        if self._untold is None or not (self._broken or self._journal.size > _JOURNAL_BYTES):
            return
        going = self._open | {reserved.id: reserved for reserved, _ in self._untold if reserved is not None}
        try:
            self._journal.renew([*(reserved.entry() for reserved in going.values()), *(entry for _, entry in self._untold)])
            self._broken = False
        except OSError as error:
            _log.error("the usage journal cannot be made anew", reason=str(error))

    def _keep(self, reserved: Reserved | None, entry: Entry) -> None:
        self._write(entry)
        if self._untold is not None:
            self._untold.append((reserved, entry))
            if len(self._untold) > _MOST_UNTOLD:
                self._untold = None

    def _write(self, entry: Entry) -> None:
        try:
            self._journal.write(entry)
        except OSError as error:  # it is told to the database all the same, and the journal made anew
            if not self._broken:
                _log.error("the usage journal cannot be written", reason=str(error))
            self._broken = True

    def _day(self) -> str:
        number = int(time.time() // _DAY_S)
        if number != self._days[0]:
            self._days = (number, datetime.fromtimestamp(number * _DAY_S, UTC).date().isoformat())
        return self._days[1]
