"""Log lines: one shape for the house and for the libraries under it, on stderr, with the request's id in each.

What a caller sends or a program prints is never logged: a field with one of the names in `WITHHELD` is replaced,
whoever wrote the line, and a line's texts are cut at `MAX_TEXT`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator, Mapping, MutableMapping
from contextlib import contextmanager
from time import gmtime, strftime, time
from typing import Any, Final, TextIO, cast

import orjson
import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.typing import Processor

WITHHELD: Final = frozenset(
    {"api_key", "args", "authorization", "body", "code", "content", "cookie", "env", "files", "output", "password"}
    | {"query", "secret", "stderr", "stdin", "stdout", "token", "variables"}
)
MAX_TEXT: Final = 2_000  # characters; a traceback has room of its own

_HEAD: Final = frozenset({"timestamp", "level", "event"})
# They say on `debug` and `info` what only their authors need; aiosqlite even the values of each statement, which are the caller's.
_QUIET: Final = ("aiosqlite", "alembic", "asyncio", "asyncpg", "httpcore2", "httpx2", "multipart", "sqlalchemy", "websockets")
_SILENT: Final = ("opentelemetry.exporter", "urllib3")  # on any level they show the path of the collector's address, in which a secret may stand


def _withhold(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    for name, value in event.items():
        if name.lower() in WITHHELD:
            event[name] = "[withheld]"
        elif isinstance(value, str) and len(value) > MAX_TEXT and name != "exception":
            half = MAX_TEXT // 2  # what a text is about stands at its begin, and a traceback's reason at its end
            event[name] = f"{value[:half]} … ({len(value)} characters) … {value[-half:]}"
    return event


def _stamp(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    at = time()
    seconds = int(at)
    return {"timestamp": f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(seconds))}.{int((at - seconds) * 1e6):06d}Z", "level": "info", **event}


def _render_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(event).decode()


def _render_plain(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    facts = " ".join(f"{name}={_plain(value)}" for name, value in event.items() if name not in _HEAD and value is not None)
    return f"{event['timestamp']} [{event['level']:<8}] {event['event']} {facts}"


def _plain(value: object) -> object:
    """A value in a line for people: a text that is no single word is quoted."""
    return repr(value) if isinstance(value, str) and not (value and value.isprintable() and " " not in value) else value


class _RequestLogger(structlog.BoundLoggerBase):
    """structlog without the standard library, whose layers take most of the time of a line."""

    def write(self, facts: Mapping[str, object]) -> None:
        self._proxy_to_logger("info", "request", **facts)


def _request_logger(log_format: str, target: TextIO) -> _RequestLogger:
    render = cast("Processor", _render_json if log_format == "json" else _render_plain)
    return structlog.wrap_logger(structlog.WriteLogger(target), processors=[_stamp, render], wrapper_class=_RequestLogger, context_class=dict).bind()


_requests: _RequestLogger | None = None  # none before there is somewhere to write to


def configure_logging(log_format: str, log_level: str, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream`, stderr when left out. May be called again.

    `log_format` is "console" or "json"; `log_level` is "debug", "info", "warning" or "error".
    """
    shared: list[Processor] = [
        merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    target = stream or sys.stderr
    if log_format == "json":
        last: list[Processor] = [structlog.processors.format_exc_info, _withhold, structlog.processors.JSONRenderer()]
    else:
        # Plain tracebacks: a pretty one shows the values of local variables, and those are the caller's.
        console = structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback)
        last = [_withhold, console]
    handler = logging.StreamHandler(target)
    handler.setFormatter(ProcessorFormatter(foreign_pre_chain=shared, processors=[ProcessorFormatter.remove_processors_meta, *last]))
    global _requests
    _requests = _request_logger(log_format, target) if log_level in ("debug", "info") else None
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log_level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    logging.getLogger("uvicorn.error").setLevel(max(logging.INFO, root.level))  # on `debug` it shows the head of each handshake, tokens and all
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a logger made at import must follow a later call of this function
    )


def log_request(facts: Mapping[str, object]) -> None:
    """Write the line of a request, on `info`."""
    if _requests is not None:
        try:
            _requests.write(facts)
        except (OSError, ValueError):
            pass  # nobody reads the log any more; the request was answered all the same


def get_logger(name: str) -> BoundLogger:
    """A logger; call it with an event in plain words and the facts as keywords: `log.warning("cell lost", pid=7)`."""
    return structlog.stdlib.get_logger(name)


@contextmanager
def request_context(request_id: str) -> Generator[None]:
    """Put `request_id` into every line that is logged inside, tasks started there included."""
    with bound_contextvars(request_id=request_id):
        yield
