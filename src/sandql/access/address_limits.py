"""How often an address may ask without a credential that holds: what guesses, or floods, is known by nothing else."""

from __future__ import annotations

import math
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

from sandql.access.plans import read_rate
from sandql.access.sliding_windows import SlidingWindows, Spent
from sandql.core.errors import RateLimited

_MOST_ADDRESSES: Final = 100_000  # some 300 bytes each
_IPV6_PREFIX: Final = 64  # what one customer has at least, and can take any address of


class AddressLimits:
    """Counts failures of each address, IPv6 by its /64.

    Who has a credential that is known here to hold is never refused for what others of its address do. One that is not known is not looked at
    while its address has failed too often: looking is work, and what has to be guessed must not be had for the asking.

    Raises:
        SettingsError: `rate`, the setting SANDQL_ADDRESS_RATE, is no rate.
    """

    def __init__(self, rate: str) -> None:
        self._rate = read_rate("SANDQL_ADDRESS_RATE", rate)
        self._windows = SlidingWindows(self._rate.amount, self._rate.get_expiry(), _MOST_ADDRESSES)

    def __len__(self) -> int:
        return len(self._windows)

    def admit(self, address: str | None) -> None:
        """Before a credential is looked at that is not known. Counts nothing.

        Raises:
            RateLimited: its address has failed too often.
        """
        self._refuse_unless_admitted(self._windows.look(_counted_as(address)))

    def fail(self, address: str | None) -> None:
        """Count one request without a credential, or with one that does not hold; before its caller is told so.

        Raises:
            RateLimited: it is one too many of its address.
        """
        self._refuse_unless_admitted(self._windows.hit(_counted_as(address)))

    def _refuse_unless_admitted(self, spent: Spent) -> None:
        if not spent.admitted:
            wait_s = float(max(1, math.ceil(spent.after_s)))
            text = f"of one address {self._rate.amount} requests without a valid credential are answered in {self._rate.get_expiry()} s"
            raise RateLimited(f"{text}; try again in {wait_s:.0f} s, or send a credential that was valid here lately", retry_after_s=wait_s)


def _counted_as(address: str | None) -> str:
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return ""  # all that have none together
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed) >> _IPV6_PREFIX << _IPV6_PREFIX, _IPV6_PREFIX)))
