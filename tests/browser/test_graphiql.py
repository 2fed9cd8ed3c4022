"""The page at /graphql, in the hands of somebody who opens it for the first time."""

from __future__ import annotations

import sys
import tempfile
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import Drive
from tests.support.beat import BEAT
from tests.support.server import Server

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
CONTENT = "Hello, file\n"
# The server has 100 ms, which tests/clients measures; this is about the button, in a browser that is busy drawing.
STOPPED_WITHIN_S = 1.0


@pytest.fixture(scope="module")
def seen(server: Server, drive: Drive) -> dict[str, Any]:
    """What was seen while the example of each tab was run once."""
    picture = Path(tempfile.mkdtemp(prefix="sandql-page-")) / "graphiql.png"  # it stays, for somebody to look at
    return {**drive("examples.mjs", server.url + "/graphql", str(picture)), "picture": picture}


def assert_nothing_was_wrong(seen: dict[str, Any], origin: str) -> None:
    """Every request went to the server itself and was answered, and Chromium had nothing to say."""
    asked: list[str] = seen["requests"] + seen["sockets"]
    assert {urlsplit(url).netloc for url in asked} == {origin}
    assert {status for statuses in seen["statuses"].values() for status in statuses} == {200}
    assert {kind: seen[kind] for kind in ("failed", "console", "errors", "violations") if seen[kind]} == {}


def test_no_foreign_request_and_nothing_in_the_console(seen: dict[str, Any], server: Server) -> None:
    assert_nothing_was_wrong(seen, urlsplit(server.url).netloc)
    assert seen["sockets"] == [server.ws_url]


def test_the_policy_is_the_documented_one(seen: dict[str, Any]) -> None:
    assert seen["headers"]["content-security-policy"] == POLICY


def test_every_line_of_an_example_can_be_read(seen: dict[str, Any]) -> None:
    assert seen["titles"] == ["Hello", "Stream", "WriteFile", "ReadFiles", "Server"]
    assert {title: lines for title, lines in seen["cut"].items() if lines} == {}


def test_a_mutation_runs_code(seen: dict[str, Any]) -> None:
    result = seen["answers"]["Hello"]["data"]["executeCode"]
    assert result["output"].startswith("Hello from Python\n3.")
    assert (result["success"], result["outcome"], result["exitCode"], result["stderr"]) == (True, "COMPLETED", 0, "")
    assert seen["answers"]["printed"].strip() == result["output"].strip(), "the Output panel shows what it printed"


def test_a_file_is_written_and_read_back(seen: dict[str, Any]) -> None:
    assert seen["answers"]["WriteFile"] == {"data": {"writeFile": True}}
    data = seen["answers"]["ReadFiles"]["data"]
    assert data["readFile"] == {"path": "notes/hello.txt", "content": CONTENT, "size": len(CONTENT), "encoding": "UTF8"}
    assert data["listFiles"] == ["hello.txt"]
    assert [(entry["path"], entry["type"]) for entry in data["files"]] == [("notes", "DIRECTORY"), ("notes/hello.txt", "FILE")]


def test_a_query_says_what_the_server_offers(seen: dict[str, Any]) -> None:
    data = seen["answers"]["Server"]["data"]
    assert {"python", "javascript", "bash"} <= {language["name"] for language in data["languages"] if language["available"]}
    assert data["providers"] == [{"name": "local", "isDefault": True}]


def test_lines_arrive_one_by_one(seen: dict[str, Any]) -> None:
    lines = [f"{number}\n" for number in range(1, 11)]
    events = [message["payload"]["data"]["executeCode"] for message in seen["received"] if message["type"] == "next"]
    assert [event["text"] for event in events if event["__typename"] == "ExecutionOutput"] == lines
    assert events[-1]["result"]["outcome"] == "COMPLETED"
    # The panel is drawn 20 times a second, and on a loaded machine less often: two lines may come at once, but never all.
    shown = [text for text in seen["outputs"] if text.startswith(lines[0])]
    assert shown == [text for text in accumulate(lines) if text in shown], "each is the one before, and more"
    assert shown[-1] == "".join(lines)
    assert len(shown) >= 5


@pytest.mark.parametrize("kind", ["mutation", "subscription"])
def test_the_stop_button_ends_the_program(server: Server, drive: Drive, kind: str) -> None:
    seen = drive("stop.mjs", server.url + "/graphql", kind, BEAT)
    assert int(seen["lastBeatNs"]) / 1e9 - seen["stoppedMs"] / 1e3 < STOPPED_WITHIN_S
    assert (seen["console"], seen["errors"]) == ([], [])
    assert [message["type"] for message in seen["sent"]] == ([] if kind == "mutation" else ["connection_init", "subscribe", "complete"])


def test_the_page_works_below_a_path(server: Server, drive: Drive) -> None:
    seen = drive("below.mjs", server.url, "/tools/sandql")
    assert_nothing_was_wrong(seen, seen["origin"])
    assert {path.startswith("/tools/sandql/") for path in seen["asked"]} == {True}
    assert seen["hello"]["data"]["executeCode"]["outcome"] == "COMPLETED"
    assert seen["printed"].split() == [str(number) for number in range(1, 11)]
    assert seen["sockets"] == [f"ws://{seen['origin']}/tools/sandql/graphql"]


def test_the_page_was_drawn(seen: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    picture: Path = seen["picture"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 20_000, "an empty page is smaller"
    with capsys.disabled():
        sys.stdout.write(f"\nthe page with the examples run, as Chromium drew it: {picture}\n")
