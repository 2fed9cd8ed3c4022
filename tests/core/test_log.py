"""Log lines: their shapes, their request ids, and what never stands in them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Generator
from io import StringIO
from typing import Any

import pytest

from sandql.core.log import MAX_TEXT, WITHHELD, configure_logging, get_logger, request_context

pytestmark = pytest.mark.unit


@pytest.fixture
def lines() -> Generator[StringIO]:
    """What is logged as JSON during a test; the process's logging is as before afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = StringIO()
    configure_logging("json", "info", stream)
    yield stream
    root.handlers[:], level = before
    root.setLevel(level)


def parsed(stream: StringIO) -> list[dict[str, Any]]:
    """Each line as JSON."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_its_event_its_facts_and_where_it_comes_from(lines: StringIO) -> None:
    get_logger("sandql.engine").warning("cell lost", pid=7)
    (line,) = parsed(lines)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "cell lost", "pid": 7, "level": "warning", "logger": "sandql.engine"}


def test_lines_of_libraries_have_the_same_shape(lines: StringIO) -> None:
    with request_context("r-1"):
        logging.getLogger("uvicorn.error").error("listening on %s", "x")
    (line,) = parsed(lines)
    assert (line["event"], line["level"], line["logger"], line["request_id"]) == ("listening on x", "error", "uvicorn.error", "r-1")


def test_what_is_below_the_level_is_not_logged(lines: StringIO) -> None:
    get_logger("sandql").debug("detail")
    logging.getLogger("uvicorn").debug("detail")
    assert lines.getvalue() == ""


def test_a_request_id_stays_with_its_own_request(lines: StringIO) -> None:
    async def handle(request_id: str) -> None:
        with request_context(request_id):
            await asyncio.sleep(0)
            await asyncio.create_task(say(request_id))
        get_logger("sandql").info("after", of=request_id)

    async def say(request_id: str) -> None:
        get_logger("sandql").info("inside", of=request_id)

    async def both() -> None:
        await asyncio.gather(handle("a"), handle("b"))

    asyncio.run(both())
    for line in parsed(lines):
        assert line.get("request_id") == (line["of"] if line["event"] == "inside" else None)


@pytest.mark.parametrize("name", sorted(WITHHELD) + [name.title() for name in sorted(WITHHELD)])
def test_what_callers_send_is_withheld(name: str, lines: StringIO) -> None:
    get_logger("sandql").info("ran", **{name: "print('a secret')"})
    assert "a secret" not in lines.getvalue()
    assert parsed(lines)[0][name] == "[withheld]"


def test_a_long_text_is_cut_and_says_so(lines: StringIO) -> None:
    get_logger("sandql").info("ran", path="a" * MAX_TEXT + "z" * MAX_TEXT)
    assert parsed(lines)[0]["path"] == "a" * (MAX_TEXT // 2) + f" … ({2 * MAX_TEXT} characters) … " + "z" * (MAX_TEXT // 2)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_shows_no_values_of_variables(log_format: str, lines: StringIO) -> None:
    configure_logging(log_format, "info", lines)
    try:
        private = "a " + "secret"
        raise ValueError(len(private))
    except ValueError:
        get_logger("sandql").exception("defect")
    assert "ValueError: 8" in lines.getvalue()
    assert "a secret" not in lines.getvalue()


def test_a_line_cannot_be_forged_by_what_it_says(lines: StringIO) -> None:
    get_logger("sandql").info("read", path='a\n{"event": "forged"}')
    configure_logging("console", "info", lines)
    get_logger("sandql").info("read", path="a\n2026-01-01 [error] forged")
    assert len(lines.getvalue().splitlines()) == 2
