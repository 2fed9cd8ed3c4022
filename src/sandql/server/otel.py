"""Traces of operations by OpenTelemetry, sent as OTLP over HTTP. Needs the extra `otel`; imported only where it is asked for.

What a span says is what a log line says: nothing that a caller sent.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sandql.core.log import get_logger
from sandql.core.tracing import tracing
from sandql.server.trace_parent import TraceParent

_log = get_logger(__name__)

_EXPORT_S: Final = 2.0  # for a collector to take a batch
_FLUSH_S: Final = 3.0  # for what is left when the server ends
_EMPTY: Final = Context()


class _Exporter(OTLPSpanExporter):
    """Sends spans to a collector. What the library would log of a failure shows the whole address, so a line of the house's says it instead."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_S)
        self._collector = urlsplit(endpoint).netloc.rpartition("@")[2]
        self._is_lost = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; a line is logged when that fails, and none more before it succeeds."""
        try:
            result = super().export(spans)
        except Exception:  # whatever the libraries make of an address: they would log it with their traceback
            result = SpanExportResult.FAILURE
        was_lost, self._is_lost = self._is_lost, result is not SpanExportResult.SUCCESS
        if self._is_lost and not was_lost:
            _log.warning("the collector takes no traces; those are lost until it does", collector=self._collector)
        elif was_lost and not self._is_lost:
            _log.info("the collector takes traces again", collector=self._collector)
        return result


class OperationTrace:
    """One operation: its span, and those of its parts."""

    def __init__(self, tracer: Tracer, name: str, parent: Context) -> None:
        self._tracer = tracer
        self._span: Span = tracer.start_span(name, parent, SpanKind.SERVER)
        self._context = set_span_in_context(self._span, _EMPTY)

    @contextmanager
    def span(self, name: str) -> Generator[None]:
        """A part of the operation; of an exception only its class is told."""
        part = self._tracer.start_span(name, self._context)
        try:
            yield
        except BaseException as error:
            part.set_status(StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            part.end()

    def end(self, attributes: dict[str, str | int], failed: str | None) -> None:
        """The operation has ended; `failed` are the codes of its errors."""
        self._span.set_attributes(attributes)
        if failed is not None:
            self._span.set_status(StatusCode.ERROR, failed)
        self._span.end()


class Tracing:
    """Begins traces. Made by `open_tracing`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("sandql")
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, name: str, parent: TraceParent | None) -> OperationTrace:
        """A trace for what this task does from now on; it goes on with the one that the caller named, if it named one that there can be."""
        trace = OperationTrace(self._tracer, name, self._propagator.extract(parent, _EMPTY) if parent is not None else _EMPTY)
        tracing.set(trace)
        return trace


@asynccontextmanager
async def open_tracing(endpoint: str) -> AsyncGenerator[Tracing]:
    """Send traces to a collector from a thread of its own, until the context ends; what is left then has `_FLUSH_S` to be sent."""
    resource = Resource({"service.name": "sandql", "service.version": version("sandql")})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_Exporter(endpoint)))
    try:
        yield Tracing(provider)
    finally:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def flush() -> None:
            provider.shutdown()
            try:
                loop.call_soon_threadsafe(done.set)
            except RuntimeError:
                pass  # the loop did not wait so long

        threading.Thread(target=flush, name="sandql-traces", daemon=True).start()
        try:
            async with asyncio.timeout(_FLUSH_S):
                await done.wait()
        except TimeoutError:
            pass  # traces are not worth an end that takes longer
