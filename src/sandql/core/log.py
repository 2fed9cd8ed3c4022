"""Log lines: one shape for the house and for the libraries under it, on stderr, with the request's id in each.

What a caller sends or a program prints is never logged: a field with one of the names in `WITHHELD` is replaced,
whoever wrote the line, and a line's texts are cut at `MAX_TEXT`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, TextIO

import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.typing import Processor

WITHHELD: Final = frozenset(
    {"api_key", "args", "authorization", "body", "code", "content", "cookie", "env", "files", "output", "password"}
    | {"query", "secret", "stderr", "stdin", "stdout", "token", "variables"}
)
MAX_TEXT: Final = 2_000  # characters; a traceback has room of its own

_QUIET: Final = ("asyncio", "websockets", "multipart")  # they say on `debug` and `info` what only their authors need


def _withhold(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    for name, value in event.items():
        if name.lower() in WITHHELD:
            event[name] = "[withheld]"
        elif isinstance(value, str) and len(value) > MAX_TEXT and name != "exception":
            half = MAX_TEXT // 2  # what a text is about stands at its begin, and a traceback's reason at its end
            event[name] = f"{value[:half]} … ({len(value)} characters) … {value[-half:]}"
    return event


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
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log_level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # a logger made at import must follow a later call of this function
    )


def get_logger(name: str) -> BoundLogger:
    """A logger; call it with an event in plain words and the facts as keywords: `log.warning("cell lost", pid=7)`."""
    return structlog.stdlib.get_logger(name)


@contextmanager
def request_context(request_id: str) -> Generator[None]:
    """Put `request_id` into every line that is logged inside, tasks started there included."""
    with bound_contextvars(request_id=request_id):
        yield
