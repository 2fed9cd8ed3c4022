"""What the house counts, for Prometheus. One registry for a house: several in one process do not disturb each other.

A label's values are known beforehand: nothing that a caller sends can make a new series.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from sandql.core import errors
from sandql.core.load import WAIT_S, BreakerState, HouseLoad, Load, Waits
from sandql.core.permissions import Kind
from sandql.core.values import Outcome

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
OTHER: Final = "other"  # what stands for a name that is not known; never seen as long as each name is checked where it comes in
COMMAND, TERMINAL = "command", "terminal"  # what stands for the language where there is none

_RUN_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_REQUEST_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_DATABASE_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
_CODES: Final = frozenset(kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SandqlError))
_STATUSES: Final = frozenset(Outcome) | _CODES


class Metrics:
    """Counts what happens, on the event loop, and writes it down when asked. `languages` are those of each provider, by canonical names."""

    def __init__(
        self,
        languages: Mapping[str, Collection[str]],
        loads: Callable[[], Mapping[str, Load]],
        house: Callable[[], HouseLoad] = HouseLoad,
    ) -> None:
        self._languages = {provider: frozenset((*names, COMMAND, TERMINAL)) for provider, names in languages.items()}
        self._registry = registry = CollectorRegistry()
        self._executions = Counter("compute_executions", "Executions that have ended.", ("provider", "language", "status"), registry=registry)
        self._duration = Histogram(
            "compute_execution_duration_seconds", "Wall time of executions.", ("provider", "language"), buckets=_RUN_S, registry=registry
        )
        self._requests = Counter("sandql_http_requests", "HTTP requests that were answered.", ("route", "method", "status"), registry=registry)
        self._request_s = Histogram(
            "sandql_http_request_duration_seconds", "Time to a whole answer.", ("route",), buckets=_REQUEST_S, registry=registry
        )
        self._refusals = Counter("sandql_refusals", "Operations refused by a rate limit or a quota.", ("kind", "code"), registry=registry)
        self._database_s = Histogram(
            "sandql_database_duration_seconds",
            "Time of a piece of work in the database, its wait included.",
            ("kind",),
            buckets=_DATABASE_S,
            registry=registry,
        )
        self._runs: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._answers: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._work = {kind: self._database_s.labels(kind) for kind in ("read", "write")}
        for code in (errors.RateLimited.code, errors.QuotaExceeded.code):
            for kind in (*Kind, OTHER):
                self._refusals.labels(kind, code)  # a series that is there from the start can be alerted on
        self.connections: Callable[[], int] = int
        self.events = self.bytes_sent = self.bytes_received = 0  # counted very often: a plain number costs least
        registry.register(_Read(self, loads, house))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def run_ended(self, provider: str, language: str, status: str, wall_s: float | None) -> None:
        """An execution has ended: with an outcome, or with an error's code and without a time."""
        pair = self._runs.get((provider, language, status)) or self._run_series(provider, language, status)
        pair[0].inc()
        if wall_s is not None:
            pair[1].observe(wall_s)

    def _run_series(self, provider: str, language: str, status: str) -> tuple[Counter, Histogram]:
        known = self._languages.get(provider)
        labels = (
            OTHER if known is None else provider,
            language if known is not None and language in known else OTHER,
            status if status in _STATUSES else OTHER,
        )
        pair = self._runs.get(labels)
        if pair is None:
            pair = self._runs[labels] = self._executions.labels(*labels), self._duration.labels(*labels[:2])
        return pair

    def answered(self, route: str, method: str, status: int, took_s: float) -> None:
        """A request was answered. `route` is from the table of routes."""
        pair = self._answers.get((route, method, status)) or self._answer_series(route, method, status)
        pair[0].inc()
        pair[1].observe(took_s)

    def _answer_series(self, route: str, method: str, status: int) -> tuple[Counter, Histogram]:
        counter = self._requests.labels(route, method if method in _METHODS else OTHER, f"{status // 100}xx" if 100 <= status < 600 else OTHER)
        pair = counter, self._request_s.labels(route)
        if method in _METHODS:
            self._answers[route, method, status] = pair
        return pair

    def refused(self, kind: Kind | None, code: str) -> None:
        """An operation was refused by a rate limit or a quota."""
        self._refusals.labels(kind or OTHER, code if code in _CODES else OTHER).inc()

    def worked(self, kind: str, took_s: float) -> None:
        """The database did a piece of work, `read` or `write`."""
        self._work[kind].observe(took_s)

    def write(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)


class _Read(Collector):
    """What is read when it is asked for, and costs nothing until then."""

    def __init__(self, metrics: Metrics, loads: Callable[[], Mapping[str, Load]], house: Callable[[], HouseLoad]) -> None:
        self._metrics = metrics
        self._loads = loads
        self._house = house

    def collect(self) -> Iterator[Metric]:
        """Yield every family that is not counted by itself."""
        metrics = self._metrics
        yield GaugeMetricFamily("compute_active_connections", "Connections of clients that are open.", value=metrics.connections())
        yield CounterMetricFamily("sandql_events", "Results that were sent to subscriptions.", value=metrics.events)
        yield CounterMetricFamily("sandql_sent_bytes", "Bytes of answers and messages sent.", value=metrics.bytes_sent)
        yield CounterMetricFamily("sandql_received_bytes", "Bytes of bodies and messages received.", value=metrics.bytes_received)
        yield from _load_families(self._loads())
        yield from _house_families(self._house())


def _load_families(loads: Mapping[str, Load]) -> Iterator[Metric]:
    running = GaugeMetricFamily("sandql_running", "Programs that run.", labels=["provider"])
    queued = GaugeMetricFamily("sandql_queue_depth", "Programs that wait for a place.", labels=["provider"])
    waits = HistogramMetricFamily("sandql_queue_wait_seconds", "Time that programs waited for a place.", labels=["provider"])
    size = GaugeMetricFamily("sandql_pool_size", "Sandboxes that are to be kept ready.", labels=["provider", "kind"])
    ready = GaugeMetricFamily("sandql_pool_ready", "Sandboxes that are ready.", labels=["provider", "kind"])
    hits = CounterMetricFamily("sandql_pool_hits", "Programs that found a sandbox ready.", labels=["provider", "kind"])
    cold = CounterMetricFamily("sandql_pool_cold_starts", "Programs for which a sandbox had to be made.", labels=["provider", "kind"])
    for provider, load in loads.items():
        running.add_metric([provider], load.running)
        queued.add_metric([provider], load.queued)
        waits.add_metric([provider], _buckets(load.waits), load.waits.total_s)
        for kind, pool in load.pools.items():
            size.add_metric([provider, kind], pool.size)
            ready.add_metric([provider, kind], pool.ready)
            hits.add_metric([provider, kind], pool.hits)
            cold.add_metric([provider, kind], pool.cold_starts)
    yield from (running, queued, waits, size, ready, hits, cold)


def _house_families(load: HouseLoad) -> Iterator[Metric]:
    breaker = GaugeMetricFamily("sandql_breaker_state", "1 for the state in which a provider's breaker is.", labels=["provider", "state"])
    for provider, is_in in load.breakers.items():
        for state in BreakerState:
            breaker.add_metric([provider, state], float(state is is_in))
    yield breaker
    yield CounterMetricFamily("sandql_database_failures", "Times that the database could not be used.", value=load.database_failures)
    yield GaugeMetricFamily("sandql_rates_counted_alone", "1 while Redis does not answer, so that rates are not shared.", value=load.counts_alone)
    yield GaugeMetricFamily("sandql_turn_queue_depth", "Runs that wait for their turn.", value=load.queued)
    for name, help_text, waits in (
        ("sandql_turn_wait_seconds", "Time that runs waited for their turn.", load.turns),
        ("sandql_reservation_wait_seconds", "Time that runs waited until what they may cost was set aside.", load.reservations),
    ):
        yield HistogramMetricFamily(name, help_text, _buckets(waits), waits.total_s)


def _buckets(waits: Waits) -> list[tuple[str, float]]:
    """As Prometheus has them: each counts what the one before counts, too."""
    return list(zip((*map(str, WAIT_S), "+Inf"), accumulate(waits.counts), strict=True))
