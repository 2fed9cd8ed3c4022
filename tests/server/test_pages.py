"""The page for browsers, its files, and the pages for those who watch the server."""

from __future__ import annotations

import re
import socket
from datetime import datetime

import httpx2
import pytest

from sandql.server.pages import FOLDER
from tests.support.twin_server import TwinServer

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.fixture
def base(served: TwinServer) -> str:
    return served.url.removesuffix("/graphql")


def test_a_browser_gets_the_page(served: TwinServer, client: httpx2.Client) -> None:
    response = client.get(served.url, headers={"accept": BROWSER, "sec-fetch-site": "none"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.text == (FOLDER / "index.html").read_text()
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    script = next(part for part in policy.split("; ") if part.startswith("script-src"))
    assert script == "script-src 'self'"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["vary"] == "accept"


def test_everything_that_the_page_names_is_served(served: TwinServer, base: str, client: httpx2.Client) -> None:
    names = re.findall(r'(?:src|href)="\./([^"]+)"', client.get(served.url, headers={"accept": BROWSER}).text)
    assert len(names) >= 3
    types = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    for name in names:
        response = client.get(f"{base}/{name}")
        assert response.status_code == 200
        assert response.headers["content-type"] == types[name.rpartition(".")[2]]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert ("immutable" in response.headers["cache-control"]) == ("assets/" in name)


@pytest.mark.parametrize(
    "path",
    [
        "/graphiql/../app.py",
        "/graphiql/%2e%2e/app.py",
        "/graphiql/..%2fapp.py",
        "/graphiql//etc/passwd",
        "/graphiql/%2fetc%2fpasswd",
        "/graphiql/assets",
        "/graphiql/",
        "/graphiql/assets/..%5c..%5capp.py",
        "/graphiql/assets/%00",
        "/graphiql/.gitattributes",
        "/graphiql/assets/../../app.py",
    ],
)
def test_nothing_else_is_served(served: TwinServer, path: str) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = connection.recv(65_536)
    assert answer.split(b" ", 2)[1] in (b"404", b"400")


def test_the_root_leads_to_the_page(base: str, client: httpx2.Client) -> None:
    response = client.get(base + "/")
    assert response.status_code == 307
    assert response.headers["location"] == "/graphql"


def test_health_starts_nothing(served: TwinServer, base: str, client: httpx2.Client) -> None:
    runs = served.twin.runs
    response = client.get(base + "/health")
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "healthy"
    assert body["services"] == {"local": "healthy"}
    assert datetime.fromisoformat(body["timestamp"]).tzinfo is not None
    assert body["providers"]["local"]["isolation"]["level"]
    assert served.twin.runs == runs


def test_health_says_which_provider_is_ill(served: TwinServer, base: str, client: httpx2.Client) -> None:
    served.twin.available = False
    try:
        response = client.get(base + "/health")
        assert response.status_code == 503
        assert response.json()["status"] == "degraded"
        assert response.json()["services"] == {"local": "unhealthy"}
        assert response.json()["providers"]["local"]["detail"] == "told so by a test"
        assert client.get(base + "/live").json() == {"status": "alive"}
    finally:
        served.twin.available = True
