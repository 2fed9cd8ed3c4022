"""Failures of an address: who counts together, and what a flood of addresses takes."""

from __future__ import annotations

import pytest

from sandql.access.address_limits import AddressLimits
from sandql.core.errors import RateLimited
from sandql.core.settings import SettingsError


def _fails(limits: AddressLimits, address: str | None) -> bool:
    try:
        limits.fail(address)
    except RateLimited as error:
        assert error.retry_after_s is not None
        assert 0 < error.retry_after_s <= 60
        return True
    return False


def test_each_address_has_its_own_failures() -> None:
    limits = AddressLimits("2/minute")
    assert [_fails(limits, "192.0.2.1") for _ in range(3)] == [False, False, True]
    assert not _fails(limits, "192.0.2.2")


def test_to_be_admitted_counts_nothing_and_ends_with_the_failures_that_are_admitted() -> None:
    limits = AddressLimits("2/minute")
    for _ in range(5):
        limits.admit("192.0.2.1")
    assert len(limits) == 0
    limits.fail("192.0.2.1")
    limits.admit("192.0.2.1")
    limits.fail("192.0.2.1")
    with pytest.raises(RateLimited):
        limits.admit("192.0.2.1")
    limits.admit("192.0.2.2")


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::1%eth1", True),
        (None, "not an address", True),
    ],
)
def test_who_can_take_any_address_of_a_network_is_counted_by_it(one: str | None, other: str | None, together: bool) -> None:
    limits = AddressLimits("1/minute")
    assert not _fails(limits, one)
    assert _fails(limits, other) is together


def test_many_addresses_take_bounded_memory() -> None:
    limits = AddressLimits("1/minute")
    for number in range(120_000):
        limits.fail(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limits) == 100_000


def test_what_is_no_rate_is_refused() -> None:
    with pytest.raises(SettingsError, match="SANDQL_ADDRESS_RATE must be one rate"):
        AddressLimits("often")
