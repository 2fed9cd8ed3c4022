"""Files over plain HTTP in the hands of clients that are slow, hostile, or many at once."""

from __future__ import annotations

import io
import os
import socket
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from sandql.core.values import KiB, MiB
from tests.support.raw_http import read_all, read_until
from tests.support.server import Server, running_server
from tests.support.twin_server import wait_for


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with homes of 24 MiB."""
    with running_server(
        pool_size=1, node_pool_size=0, program_pool_size=0, workspace_bytes=24 * MiB, workspace_inodes=300, body_timeout_s=5
    ) as started:
        yield started


@pytest.fixture
def http(server: Server) -> Iterator[httpx2.Client]:
    """A client of the home's files, which are removed afterwards."""
    with httpx2.Client(base_url=f"{server.url}/sandboxes/home/files/", timeout=30) as client:
        yield client
        for entry in listed(server):
            client.delete(entry, params={"recursive": "true"})


def listed(server: Server) -> list[str]:
    return httpx2.post(f"{server.url}/graphql", json={"query": '{ listFiles(path: "") }'}).json()["data"]["listFiles"]


def descriptors(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["extensions"]["code"]


def test_conditions_of_readers(http: httpx2.Client) -> None:
    tag = http.put("f", content=b"one").headers["etag"]
    assert http.get("f", headers={"if-match": tag}).content == b"one"
    assert http.get("f", headers={"if-match": "*"}).content == b"one"
    assert http.get("f", headers={"if-none-match": f"W/{tag}"}).status_code == 304, "whoever reads may compare weakly"
    for other in ('"other"', f"W/{tag}"):
        assert code_of(http.get("f", headers={"if-match": other})) == (412, "PRECONDITION_FAILED")
        assert code_of(http.put("f", content=b"two", headers={"if-match": other})) == (412, "PRECONDITION_FAILED")
    assert code_of(http.delete("f", headers={"if-match": tag})) == (400, "BAD_REQUEST"), "it is not ignored"
    assert http.get("f").content == b"one"
    deleted = http.delete("f")
    assert (deleted.status_code, "content-length" in deleted.headers) == (204, False)


def test_an_upload_that_will_be_refused_is_refused_before_it_has_come(server: Server, http: httpx2.Client) -> None:
    http.put("f", content=b"one")
    for condition, size, status in ((b"if-none-match: *", 10 * MiB, b" 412 "), (b"x: y", 30 * MiB, b" 507 "), (b"x: y", 2000 * MiB, b" 413 ")):
        head = b"PUT /sandboxes/home/files/f HTTP/1.1\r\nhost: localhost\r\n%s\r\ncontent-length: %d\r\n\r\n" % (condition, size)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(head)
            assert status in connection.recv(1000).partition(b"\r\n")[0]
    assert http.get("f").content == b"one"


def test_of_those_who_make_the_same_file_one_does(http: httpx2.Client) -> None:
    def put(number: int) -> int:
        return http.put("only", content=b"%d" % number * 100_000, headers={"if-none-match": "*"}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(put, range(8))) == [201, *[412] * 7]
    content = http.get("only").content
    assert content == content[:1] * 100_000


def test_one_upload_is_sent_by_one_request_at_a_time(server: Server, http: httpx2.Client) -> None:
    head = b"PUT /sandboxes/home/files/f HTTP/1.1\r\nhost: localhost\r\nupload-id: the-same-one\r\ncontent-length: %d\r\n\r\n" % (3 * MiB)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as first:
        first.sendall(head + b"x" * (2 * MiB))
        wait_for(lambda: int(http.head("f", headers={"upload-id": "the-same-one"}).headers["upload-offset"]) > 0, "what came")
        second = http.put("f", content=b"y" * MiB, headers={"upload-id": "the-same-one", "upload-offset": str(MiB)})
        assert code_of(second) == (409, "CONFLICT")
        first.sendall(b"x" * MiB)
        assert b" 201 " in first.recv(1000)
    assert http.get("f").content == b"x" * (3 * MiB), "nothing of the other one"


def test_unfinished_uploads_count_and_are_few(http: httpx2.Client) -> None:
    part = {"upload-complete": "?0"}
    for number in range(2):
        assert http.put("big", content=bytes(10 * MiB), headers={**part, "upload-id": f"upload-{number}"}).status_code == 202
    assert code_of(http.put("other", content=bytes(5 * MiB))) == (507, "RESOURCE_ERROR")
    assert http.put("other", content=bytes(2 * MiB)).status_code == 201
    for number in range(2):
        headers = {"upload-id": f"upload-{number}", "upload-offset": str(10 * MiB)}
        assert http.put("big", content=b"", headers=headers).status_code == 201
    http.delete("big")
    statuses = [http.put("f", content=b"x", headers={**part, "upload-id": f"small-one-{number}"}).status_code for number in range(70)]
    assert statuses == [202] * 64 + [507] * 6
    for number in range(64):
        http.put("f", content=b"", headers={"upload-id": f"small-one-{number}", "upload-offset": "1"})


@pytest.mark.parametrize(
    ("headers", "query", "word"),
    [
        ({"upload-complete": "?0"}, {}, "Upload-Id"),
        ({"upload-offset": "3"}, {}, "Upload-Id"),
        ({"content-range": "bytes 1-1/3"}, {}, "Content-Range"),
        ({"content-range": "bytes 1-1/3", "upload-id": "an-upload"}, {}, "Content-Range"),
        ({"upload-id": "an-upload"}, {"archive": "tar.gz"}, "archive"),
        ({"upload-complete": "?0"}, {"archive": "tar.gz"}, "archive"),
    ],
)
def test_a_part_that_could_not_be_put_together_is_refused(http: httpx2.Client, headers: dict[str, str], query: dict[str, str], word: str) -> None:
    http.put("f", content=b"one")
    refused = http.put("f", params=query, content=b"X", headers=headers)
    assert code_of(refused) == (400, "BAD_REQUEST")
    assert word in refused.json()["errors"][0]["message"]
    assert http.get("f").content == b"one"
    assert http.put("f", content=b"two", headers={"upload-offset": "0", "upload-complete": "?1"}).status_code == 201, "that is all of it"


def test_an_upload_is_given_up_and_the_file_stays(server: Server, http: httpx2.Client) -> None:
    http.put("f", content=b"one")
    key = {"upload-id": "given-up"}
    assert http.put("f", content=b"part", headers={**key, "upload-complete": "?0"}).status_code == 202
    head = b"PUT /sandboxes/home/files/f HTTP/1.1\r\nhost: localhost\r\nupload-id: given-up\r\nupload-offset: 4\r\ncontent-length: %d\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sending:
        sending.sendall(head % (3 * MiB) + b"x" * (2 * MiB))
        wait_for(lambda: int(http.head("f", headers=key).headers["upload-offset"]) > 4, "what came")
        assert code_of(http.delete("f", headers=key)) == (409, "CONFLICT")
    wait_for(lambda: http.delete("f", headers=key).status_code == 204, "that nobody sends it any more")
    assert code_of(http.delete("f", headers=key)) == (404, "NOT_FOUND")
    assert http.head("f", headers=key).headers["upload-offset"] == "0"
    assert http.get("f").content == b"one"
    assert http.put("f", content=b"two", headers=key).content == b"", "it can begin anew"
    assert http.get("f").content == b"two"


def test_many_uploads_at_once_stay_within_the_quota(server: Server, http: httpx2.Client) -> None:
    def put(number: int) -> int:
        return http.put(f"f{number}", content=os.urandom(6 * MiB)).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(put, range(8)))
    assert set(statuses) <= {201, 507}
    assert statuses.count(201) <= 4
    assert {len(http.get(name).content) for name in listed(server)} <= {6 * MiB}
    assert len(listed(server)) == statuses.count(201)


def test_a_client_that_does_not_read_holds_little(server: Server, http: httpx2.Client) -> None:
    http.put("big", content=os.urandom(20 * MiB))
    http.get("big")
    before, open_before = _memory_kib(server), descriptors(server)
    stalled: list[socket.socket] = []
    for path in ("big", "?archive=tar.gz"):
        for _ in range(10):
            connection = socket.create_connection(("127.0.0.1", server.port))
            connection.sendall(f"GET /sandboxes/home/files/{path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            connection.recv(100)
            stalled.append(connection)
    assert http.get("big").status_code == 200, "others are served"
    assert _memory_kib(server) - before < 64 * KiB
    for connection in stalled:
        connection.close()
    wait_for(lambda: descriptors(server) <= open_before, "descriptors are left")


@pytest.mark.parametrize(
    ("how", "comes"), [("rewrite in place", False), ("add to it", False), ("cut it", False), ("replace it", True), ("remove it", True)]
)
def test_a_download_is_of_one_file_or_does_not_end(server: Server, http: httpx2.Client, how: str, comes: bool) -> None:
    content = os.urandom(12 * MiB)
    http.put("f", content=content)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KiB)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(b"GET /sandboxes/home/files/f HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        begin = read_until(slow, b"\r\n\r\n")
        code = {
            "rewrite in place": "open('f', 'r+b').write(bytes(12 << 20))",
            "add to it": "open('f', 'ab').write(b'more')",
            "cut it": "open('f', 'r+b').truncate(100)",
            "replace it": "import os; open('g', 'wb').write(b'new'); os.rename('g', 'f')",
            "remove it": "import os; os.unlink('f')",
        }[how]
        document = 'mutation($c: String!) { executeCode(language: "python", code: $c, sandboxId: "home") { outcome } }'
        ran = httpx2.post(f"{server.url}/graphql", json={"query": document, "variables": {"c": code}}, timeout=30).json()
        assert ran["data"]["executeCode"]["outcome"] == "COMPLETED"
        body = (begin + read_all(slow)).partition(b"\r\n\r\n")[2]
    assert (len(body) == len(content)) is comes
    assert content.startswith(body), "and nothing of another file"


def _memory_kib(server: Server) -> int:
    return next(int(line.split()[1]) for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines() if line.startswith("VmRSS"))


def test_a_directory_is_an_archive_for_who_accepts_that(http: httpx2.Client) -> None:
    http.put("d/ü", content=b"x")
    assert code_of(http.get("d")) == (400, "BAD_REQUEST")
    for answer in (http.get("d", headers={"accept": "application/gzip"}), http.get("", params={"archive": "tar.gz"})):
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as made:
            assert made.getnames()[-1].endswith("ü")
    assert http.get("d/ü", headers={"accept": "application/gzip"}).content == b"x", "a file is sent as it is"


def test_an_archive_onto_what_is_there_is_taken_whole_or_not_at_all(http: httpx2.Client) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("a", "b/c", "z"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    http.put("d/b", content=b"a file where the archive has a directory")
    answer = http.put("d", params={"archive": "tar.gz"}, content=packed.getvalue())
    assert code_of(answer) == (409, "CONFLICT")
    assert http.get("d/a").status_code == 404
    http.delete("d/b")
    assert http.put("d", params={"archive": "tar.gz"}, content=packed.getvalue()).status_code == 204
    assert http.get("d/b/c").content == b"x"


_WRITE = ".sandql-write-0123456789abcdef"
_MAIN = ".sandql-main-0123456789abcdef.py"


def test_names_of_the_servers_own_are_refused(http: httpx2.Client) -> None:
    for path in (path for name in (_WRITE, _MAIN) for path in (name, f"{name}/below", f"a/{name}")):
        assert code_of(http.put(path, content=b"x")) == (400, "BAD_REQUEST"), "it would be lost at the next start"


def test_a_server_that_is_killed_loses_nothing_that_it_has_answered(tmp_path: Path) -> None:
    content = os.urandom(3 * MiB)
    cut = socket.socket()
    with running_server(pool_size=1, node_pool_size=0, program_pool_size=0, state_dir=tmp_path) as server:
        url = f"{server.url}/sandboxes/home/files"
        assert httpx2.put(f"{url}/whole", content=content).status_code == 201
        part = {"upload-id": "to-go-on-with", "upload-complete": "?0"}
        assert httpx2.put(f"{url}/part", content=content[:MiB], headers=part).status_code == 202
        cut.connect(("127.0.0.1", server.port))
        cut.sendall(b"PUT /sandboxes/home/files/cut HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(content) + content[: 2 * MiB])
        wait_for(lambda: any(path.name.startswith("once-") for path in tmp_path.glob("homes/*/uploads/*")), "the upload's begin")
        server.process.kill()
        server.process.wait()
    cut.close()
    with running_server(pool_size=1, node_pool_size=0, program_pool_size=0, state_dir=tmp_path) as server:
        url = f"{server.url}/sandboxes/home/files"
        assert httpx2.get(f"{url}/whole").content == content
        assert [path.name.startswith("once-") for path in tmp_path.glob("homes/*/uploads/*")] == [False]
        rest = httpx2.put(f"{url}/part", content=content[MiB:], headers={"upload-id": "to-go-on-with", "upload-offset": str(MiB)})
        assert rest.status_code == 201
        assert httpx2.get(f"{url}/part").content == content
        assert listed(server) == ["part", "whole"]


def test_the_file_of_a_program_does_not_outlive_a_server_that_is_killed(tmp_path: Path) -> None:
    code = "open('up', 'w').close()\\nimport time\\ntime.sleep(60)"
    start = f'mutation {{ startExecution(language: "python", sandboxId: "home", code: "{code}") {{ id }} }}'
    with running_server(pool_size=1, node_pool_size=0, program_pool_size=0, state_dir=tmp_path) as server:
        assert "errors" not in httpx2.post(f"{server.url}/graphql", json={"query": start}).json()
        wait_for(lambda: listed(server) == ["up"], "the program at work, whose own file is in no listing")
        server.process.kill()
        server.process.wait()
    (home,) = tmp_path.glob("homes/*/files")
    assert len(os.listdir(home)) == 2
    with running_server(pool_size=1, node_pool_size=0, program_pool_size=0, state_dir=tmp_path):
        assert os.listdir(home) == ["up"]
