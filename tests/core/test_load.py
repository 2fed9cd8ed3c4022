"""Waits, counted as Prometheus reads them."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandql.core.load import WAIT_S, HouseLoad, Load, Waits
from sandql.core.metrics import Metrics

pytestmark = pytest.mark.unit


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _wait(waits: Waits, clock: _Clock, seconds: float) -> None:
    with waits.one():
        clock.now += seconds


def _wait_in_vain(waits: Waits, clock: _Clock, seconds: float) -> None:
    with waits.one():
        clock.now += seconds
        raise RuntimeError


def test_each_bucket_counts_those_that_waited_no_longer_and_all_are_in_the_last() -> None:
    clock = _Clock()
    waits = Waits(clock)
    waits.none()
    for seconds in (WAIT_S[0], 0.2, 1000):
        _wait(waits, clock, seconds)
    with pytest.raises(RuntimeError):
        _wait_in_vain(waits, clock, 3)
    text = Metrics({}, lambda: {"local": Load(waits=waits)}, lambda: HouseLoad(turns=waits, reservations=waits)).write().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name in ("sandql_queue_wait_seconds", "sandql_turn_wait_seconds", "sandql_reservation_wait_seconds"):
        family = families[name]
        assert family.type == "histogram"
        counts = {float(sample.labels["le"]): sample.value for sample in family.samples if sample.name.endswith("_bucket")}
        assert list(counts) == [*WAIT_S, float("inf")]
        assert (counts[0.001], counts[0.1], counts[0.25], counts[2.5], counts[5], counts[60], counts[float("inf")]) == (2, 2, 3, 3, 4, 4, 5)
        (total,) = (sample.value for sample in family.samples if sample.name.endswith("_sum"))
        assert total == pytest.approx(1003.201)  # pyright: ignore[reportUnknownMemberType]
