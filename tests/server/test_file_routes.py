"""Files over plain HTTP, against a real server."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from sandql.core.values import MiB
from tests.support.server import Server, running_server
from tests.support.twin_server import wait_for


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with small bounds and short patience."""
    with running_server(pool_size=1, node_pool_size=0, program_pool_size=0, file_stream_bytes=64 * MiB, body_timeout_s=1) as started:
        yield started


@pytest.fixture
def http(server: Server) -> Iterator[httpx2.Client]:
    """A client of the home's files, which are removed afterwards."""
    with httpx2.Client(base_url=f"{server.url}/sandboxes/home/files/", timeout=30) as client:
        yield client
        for entry in _listed(server):
            client.delete(entry, params={"recursive": "true"})


def _listed(server: Server, **arguments: str) -> list[str]:
    answer = httpx2.post(f"{server.url}/graphql", json={"query": '{ listFiles(path: "") }'}).json()
    return answer["data"]["listFiles"]


def test_what_is_put_is_got_with_its_tag(http: httpx2.Client) -> None:
    put = http.put("a/ü ☃.bin", content=b"\x00\xffbytes")
    assert put.status_code == 201
    got = http.get("a/ü ☃.bin")
    assert (got.status_code, got.content) == (200, b"\x00\xffbytes")
    assert got.headers["etag"] == put.headers["etag"]
    assert got.headers["content-disposition"].startswith("attachment;")
    assert got.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in got.headers["content-security-policy"]
    assert got.headers["content-type"] == "application/octet-stream", "never a page of ours"
    head = http.head("a/ü ☃.bin")
    assert (head.headers["content-length"], head.content) == ("7", b"")
    assert http.put("a/ü ☃.bin", content=b"other").headers["etag"] != put.headers["etag"]


@pytest.mark.parametrize(
    ("asked", "status", "content", "said"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=2-999", 206, b"23456789", "bytes 2-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=" + "9" * 40 + "-", 200, b"0123456789", None),
    ],
)
def test_ranges(http: httpx2.Client, asked: str, status: int, content: bytes, said: str | None) -> None:
    http.put("f", content=b"0123456789")
    got = http.get("f", headers={"range": asked})
    assert (got.status_code, got.content, got.headers.get("content-range")) == (status, content, said)


def test_conditions(http: httpx2.Client) -> None:
    tag = http.put("f", content=b"one").headers["etag"]
    assert http.get("f", headers={"if-none-match": tag}).status_code == 304
    assert http.get("f", headers={"if-none-match": '"other"'}).status_code == 200
    assert http.get("f", headers={"if-range": '"other"', "range": "bytes=0-0"}).content == b"one"
    assert http.get("f", headers={"if-range": tag, "range": "bytes=0-0"}).content == b"o"
    for headers in ({"if-match": '"other"'}, {"if-none-match": "*"}, {"if-none-match": tag}):
        refused = http.put("f", content=b"two", headers=headers)
        assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (412, "PRECONDITION_FAILED")
    assert http.put("new", content=b"x", headers={"if-match": "*"}).status_code == 412
    assert http.get("f").content == b"one"
    assert http.put("f", content=b"two", headers={"if-match": tag}).status_code == 201


def test_large_files_go_through_with_little_memory(server: Server, http: httpx2.Client, tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 48
    before = _memory_kib(server)
    http.put("big", content=b"warm")
    assert http.put("big", content=content).status_code == 201
    with http.stream("GET", "big") as got:
        digest = hashlib.sha256()
        for piece in got.iter_raw():
            digest.update(piece)
    assert digest.digest() == hashlib.sha256(content).digest()
    assert _memory_kib(server) - before < 24 << 10


def _memory_kib(server: Server) -> int:
    return next(int(line.split()[1]) for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))


def test_an_upload_that_was_cut_goes_on_where_it_was(server: Server, http: httpx2.Client) -> None:
    content = os.urandom(3 << 20)
    key = {"upload-id": "my-upload-1"}
    head = f"PUT /sandboxes/home/files/cut.bin HTTP/1.1\r\nhost: localhost\r\nupload-id: my-upload-1\r\ncontent-length: {len(content)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as cut:
        cut.sendall(head.encode() + content[: 1 << 20])
        wait_for(lambda: int(http.head("cut.bin", headers=key).headers["upload-offset"]) == 0 or True, "the server")
    wait_for(lambda: int(http.head("cut.bin", headers=key).headers["upload-offset"]) > 0, "what came")
    assert http.get("cut.bin").status_code == 404, "nobody sees half of it"
    there = int(http.head("cut.bin", headers=key).headers["upload-offset"])
    wrong = http.put("cut.bin", content=b"x", headers={**key, "upload-offset": str(there + 1)})
    assert wrong.status_code == 409
    middle = content[there : there + 500_000]
    part = http.put("cut.bin", content=middle, headers={**key, "upload-offset": str(there), "upload-complete": "?0"})
    assert (part.status_code, part.headers["upload-offset"]) == (202, str(there + 500_000))
    last = http.put("cut.bin", content=content[there + 500_000 :], headers={**key, "upload-offset": str(there + 500_000)})
    assert last.status_code == 201
    assert http.get("cut.bin").content == content
    assert http.head("cut.bin", headers=key).headers["upload-offset"] == "0"


def test_an_upload_without_a_key_leaves_nothing_when_it_is_cut(server: Server, http: httpx2.Client) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as cut:
        cut.sendall(b"PUT /sandboxes/home/files/gone HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nabc")
    stalled = socket.create_connection(("127.0.0.1", server.port))
    with stalled:
        stalled.sendall(b"PUT /sandboxes/home/files/stalled HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nabc")
        assert b" 408 " in stalled.recv(1000).partition(b"\r\n")[0]
    assert http.get("gone").status_code == 404
    assert _listed(server) == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "none", {}, 404),
        ("GET", "%2e%2e/x", {}, 400),
        ("GET", "a%00b", {}, 400),
        ("GET", "%ff", {}, 400),
        ("PUT", "", {}, 400),
        ("PUT", "f", {"content-length": "99999999999"}, 413),
        ("PUT", "f", {"upload-id": "short"}, 400),
        ("PUT", "f", {"upload-id": "long-enough", "upload-offset": "x"}, 400),
        ("GET", "f?archive=zip", {}, 400),
        ("GET", "none?archive=tar.gz", {}, 404),
        ("DELETE", "none", {}, 404),
        ("POST", "f", {}, 405),
        ("PUT", "f", {"origin": "https://evil.example"}, 403),
        ("DELETE", "f", {"origin": "https://evil.example"}, 403),
        ("GET", "f", {"sec-fetch-site": "cross-site"}, 403),
        ("GET", "f", {"host": "evil.example"}, 403),
    ],
)
def test_what_is_refused(server: Server, method: str, path: str, headers: dict[str, str], status: int) -> None:
    lines = [f"{method} /sandboxes/home/files/{path} HTTP/1.1", "connection: close"]
    lines += [f"{name}: {value}" for name, value in {"host": "localhost", "content-length": "0", **headers}.items()]
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while data := connection.recv(65536):
            answer += data
    assert answer.split()[1] == str(status).encode(), answer
    assert b'"code":' in answer


def test_another_sandbox_is_not_found(server: Server) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = httpx2.request(method, f"{server.url}/sandboxes/sb_nobodys/files/a")
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (404, "NOT_FOUND")


def test_archives_both_ways(http: httpx2.Client) -> None:
    http.put("d/a", content=b"a" * 100_000)
    got = http.get("d", params={"archive": "tar.gz"})
    assert got.headers["content-type"] == "application/gzip"
    assert "d.tar.gz" in got.headers["content-disposition"]
    with tarfile.open(fileobj=io.BytesIO(got.content)) as made:
        assert made.getnames() == ["a"]
    assert http.put("e/f", params={"archive": "tar.gz"}, content=got.content).status_code == 204
    assert http.get("e/f/a").content == b"a" * 100_000
    assert http.put("e", params={"archive": "tar.gz"}, content=b"nonsense").status_code == 400


def test_a_reader_that_goes_away_leaves_no_descriptor(server: Server, http: httpx2.Client) -> None:
    http.put("big", content=bytes(40 << 20))
    folder = Path(f"/proc/{server.process.pid}/fd")
    before = len(list(folder.iterdir()))
    for query in (b"", b"?archive=tar.gz"):
        path = b"big" if not query else b""
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(b"GET /sandboxes/home/files/" + path + query + b" HTTP/1.1\r\nhost: localhost\r\n\r\n")
                connection.recv(100)
    wait_for(lambda: len(list(folder.iterdir())) <= before, "descriptors are left")


@pytest.mark.parametrize("path", ["sandboxes%2Fsb_no/files/a.txt", "sandboxes%2Fa/files/sandboxes/home/files/a.txt", "sandboxes//files/a.txt"])
def test_a_path_that_only_looks_like_one_of_a_sandbox_opens_none(server: Server, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert httpx2.request(method, f"{server.url}/{path}", params={"archive": "tar.gz"}).status_code == 404
