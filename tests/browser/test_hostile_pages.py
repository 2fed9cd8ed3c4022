"""A page of somebody else, open in a browser that can reach the server: it reads nothing, runs nothing and shows nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.browser.conftest import Drive
from tests.support.beat import query
from tests.support.server import Server, running_server
from tests.support.tokens import SECRET as SIGNED_WITH
from tests.support.tokens import token

PAGE = Path(__file__).parent / "hostile.html"
SECRET = "what the visitor wrote"
SAVE = 'mutation ($content: String!) { writeFile(path: "secret.txt", content: $content) }'
# What a page learns of a request that it may send but not read is an empty text; a frame that loaded is one that it cannot look into.
REFUSED = {
    "read": "refused",
    "json": "refused",
    "plain": "",
    "multipart": "",
    "urlencoded": "",
    "get": "refused",
    "getMutation": "",
    "script": "refused",
    "image": "refused",
    "form": "loaded",
    "frame": "loaded",
    "socket": "refused",
    "events": "refused",
}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site_port() -> Iterator[int]:
    """The port of a web server that somebody else has, with the hostile page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(PAGE.parent))) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        try:
            yield site.server_port
        finally:
            site.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def visited() -> Iterator[Server]:
    """A server whose one file is secret."""
    with running_server() as server:
        query(server, SAVE, content=SECRET)
        yield server


def files(server: Server) -> list[str]:
    """Every path in the home."""
    return [entry["path"] for entry in query(server, '{ files(path: ".", recursive: true) { path } }')["files"]]


@pytest.mark.parametrize("place", ["another port", "another name", "no place"])
def test_a_foreign_page_gets_nothing(visited: Server, drive: Drive, site_port: int, place: str) -> None:
    pages = {
        "another port": (f"http://127.0.0.1:{site_port}/{PAGE.name}", f"http://127.0.0.1:{site_port}"),
        "another name": (f"http://localhost:{site_port}/{PAGE.name}", f"http://localhost:{site_port}"),
        "no place": ("data:text/html;charset=utf-8," + quote(PAGE.read_text()), "null"),
    }
    page, origin = pages[place]
    seen = drive("hostile.mjs", page, visited.url + "/graphql")
    assert seen["origin"] == origin
    assert {name: got.partition(":")[0] for name, got in seen["got"].items()} == REFUSED
    assert SECRET not in json.dumps(seen)
    assert files(visited) == ["secret.txt"]
    assert sorted(set(seen["statuses"])) == [200, 403]
    assert seen["statuses"].count(200) == 1, "the page itself, which Chromium then does not show in the frame"
    assert seen["framed"] == [0, 0, 0]
    assert seen["popup"] == {"root": 1, "opener": None, "closed": True}, "neither window has a hold on the other"


def test_the_attacks_are_real(drive: Drive, site_port: int) -> None:
    """From a page that the server was told to trust, what needs trust works: so above it was the server that refused."""
    trusted = f"http://127.0.0.1:{site_port}"
    with running_server(allowed_origins=json.dumps([trusted])) as server:
        query(server, SAVE, content=SECRET)
        seen = drive("hostile.mjs", f"{trusted}/{PAGE.name}", server.url + "/graphql")
        assert files(server) == ["secret.txt", "socket", "taken", "taken/json"]
    assert [name for name, got in seen["got"].items() if SECRET in got] == ["read", "get"]
    assert seen["framed"] == [0, 0, 0], "not even a trusted page may frame the editor"


def test_a_token_does_not_open_the_server_to_a_foreign_page(drive: Drive, site_port: int) -> None:
    """A page that was given one, or has stolen it, still needs an origin that is allowed: in each way that a browser has."""
    origin = f"http://127.0.0.1:{site_port}"
    with running_server(jwt_secret=SIGNED_WITH) as server:
        seen = drive("foreign.mjs", origin, server.url + "/graphql", token("frank"))
        log = "".join(server.log)
    assert seen["got"] == {"request": "TypeError", "events": "TypeError", "socket": {"code": 1006, "heard": "[]"}}
    assert "caller=jwt:/frank" not in log, "nothing was asked in the name of the token's holder"


def test_an_allowed_page_comes_in_with_a_token(drive: Drive, site_port: int) -> None:
    origin = f"http://127.0.0.1:{site_port}"
    with running_server(jwt_secret=SIGNED_WITH, allowed_origins=json.dumps([origin])) as server:
        got = drive("foreign.mjs", origin, server.url + "/graphql", token("frank"))["got"]
        wrong = drive("foreign.mjs", origin, server.url + "/graphql", "of.no.use")["got"]
    assert [got[name]["status"] for name in ("request", "events")] == [200, 200]
    assert all("42\\n" in text for text in (got["request"]["body"], got["events"]["body"], got["socket"]["heard"]))
    assert got["request"]["id"], "the page may read the headers that help"
    assert got["socket"]["code"] == 1000
    assert [(wrong[name]["status"], "UNAUTHENTICATED" in wrong[name]["body"]) for name in ("request", "events")] == [(401, True)] * 2
    assert wrong["socket"] == {"code": 4403, "heard": "[]"}
