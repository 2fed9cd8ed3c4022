"""Plans of the access file: what they say, and what they cannot say."""

from __future__ import annotations

import pytest

from sandql.access.plans import read_plans
from sandql.core.permissions import Kind
from sandql.core.settings import SettingsError


def test_plans_come_with_sandql_and_unlimited_has_no_bound() -> None:
    plans = read_plans({})
    assert set(plans) == {"free", "pro", "enterprise", "unlimited"}
    assert (dict(plans["unlimited"].rates), plans["unlimited"].concurrency) == ({}, None)
    for kind in Kind:
        amounts = [plans[name].rates[kind].amount for name in ("free", "pro", "enterprise")]
        assert amounts == sorted(amounts)
    assert plans["free"].rates[Kind.EXECUTE].amount == 100
    assert plans["free"].rates[Kind.EXECUTE].get_expiry() == 900


def test_the_file_overrides_single_rates_and_adds_plans() -> None:
    plans = read_plans({"free": {"execute": "2/minute"}, "gold": {"files": "7 per 2 hours", "concurrency": 9}})
    assert plans["free"].rates[Kind.EXECUTE].amount == 2
    assert plans["free"].rates[Kind.FILES].amount == 500
    assert set(plans["gold"].rates) == {Kind.FILES}
    assert (plans["gold"].rates[Kind.FILES].get_expiry(), plans["gold"].concurrency) == (7200, 9)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("execute", "often"),
        ("execute", 100),
        ("execute", "1/minute;5/hour"),
        ("execute", "0/minute"),
        ("execute", "1/10 years"),
        ("execute", ""),
        ("query", "9" * 5000 + "/minute"),
        ("concurrency", 0),
        ("concurrency", "4"),
        ("concurrency", True),
        ("concurrency", 10_001),
        ("executions", "1/minute"),
    ],
)
def test_what_is_no_rate_is_refused_by_its_name(key: str, value: object) -> None:
    with pytest.raises(SettingsError, match=rf"plans\.free\.rates\.{key} "):
        read_plans({"free": {key: value}})
