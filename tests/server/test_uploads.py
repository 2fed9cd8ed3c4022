"""Files sent as parts of a request."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx2
import pytest

from tests.support.raw_http import post_bytes
from tests.support.twin_server import TwinServer

UPLOAD = "mutation ($file: Upload!, $path: String!) { uploadFile(path: $path, file: $file) }"
PREFLIGHT = {"apollo-require-preflight": "true"}
Parts = list[tuple[str, tuple[str | None, bytes]]]


def parts(operations: Any, places: Any, **files: bytes) -> Parts:
    """The parts of a multipart request, in their order."""
    fields: Parts = [("operations", (None, json.dumps(operations).encode())), ("map", (None, json.dumps(places).encode()))]
    return fields + [(name, (f"{name}.bin", content)) for name, content in files.items()]


def test_a_file_is_written(served: TwinServer, client: httpx2.Client) -> None:
    content = bytes(range(256)) * 8_000  # past what is kept in memory while it arrives
    operations = {"query": UPLOAD, "variables": {"file": None, "path": "up/a.bin"}}
    response = client.post(served.url, files=parts(operations, {"f": ["variables.file"]}, f=content), headers=PREFLIGHT)
    assert response.json() == {"data": {"uploadFile": True}}
    assert served.twin.files["up/a.bin"] == content


def test_files_of_a_batch(served: TwinServer, client: httpx2.Client) -> None:
    operations = [{"query": UPLOAD, "variables": {"file": None, "path": f"up/{name}"}} for name in ("b", "c")]
    places = {"f": ["0.variables.file"], "g": ["1.variables.file"]}
    response = client.post(served.url, files=parts(operations, places, f=b"one", g=b"two"), headers=PREFLIGHT)
    assert response.json() == [{"data": {"uploadFile": True}}] * 2
    assert (served.twin.files["up/b"], served.twin.files["up/c"]) == (b"one", b"two")


@pytest.mark.parametrize("name", ["x-apollo-operation-name", "apollo-require-preflight", "graphql-require-preflight"])
def test_a_form_needs_a_header_that_a_foreign_page_cannot_send(served: TwinServer, client: httpx2.Client, name: str) -> None:
    operations = {"query": UPLOAD, "variables": {"file": None, "path": f"up/{name}"}}
    sent = parts(operations, {"f": ["variables.file"]}, f=b"x")
    refused = client.post(served.url, files=sent)
    assert refused.status_code == 403
    assert name in refused.json()["errors"][0]["message"]
    assert f"up/{name}" not in served.twin.files
    assert client.post(served.url, files=sent, headers={name: "x"}).json() == {"data": {"uploadFile": True}}


@pytest.mark.parametrize(
    ("operations", "places"),
    [
        ({"query": UPLOAD, "variables": {"file": None, "path": "up/x"}}, {"f": ["variables.path"]}),
        ({"query": UPLOAD, "variables": {"file": None, "path": "up/x"}}, {"f": ["variables.nope"]}),
        ({"query": UPLOAD, "variables": {"file": None, "path": "up/x"}}, {"f": ["query"]}),
        ({"query": UPLOAD, "variables": None}, {"f": ["variables"]}),
        ([{"query": UPLOAD, "variables": None}], {"f": ["0.variables"]}),
        ({"query": None, "variables": {"file": None, "path": "up/x"}}, {"f": ["query"]}),
        ({"query": UPLOAD, "variables": {"file": None, "path": "up/x"}}, {"f": []}),
        ({"query": UPLOAD, "variables": {"file": None, "path": "up/x"}}, {"f": "variables.file"}),
        ({"query": UPLOAD, "variables": {"file": None, "path": "up/x"}}, {"missing": ["variables.file"]}),
        ({"query": UPLOAD, "variables": {"file": None, "path": "up/x"}}, {"f": ["variables.file.a"]}),
        ({"query": UPLOAD, "variables": {"file": [], "path": "up/x"}}, {"f": ["variables.file.0"]}),
        ({"query": UPLOAD, "variables": {"file": [None], "path": "up/x"}}, {"f": ["variables.file.x"]}),
        (5, {}),
        ({"query": UPLOAD}, 5),
        ([], {}),
    ],
)
def test_a_map_that_leads_nowhere_is_400(served: TwinServer, client: httpx2.Client, operations: Any, places: Any) -> None:
    response = client.post(served.url, files=parts(operations, places, f=b"x"), headers=PREFLIGHT)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert "up/x" not in served.twin.files


def test_an_upload_is_no_string(served: TwinServer, client: httpx2.Client) -> None:
    response = client.post(served.url, json={"query": UPLOAD, "variables": {"file": "text", "path": "up/y"}})
    assert "multipart" in response.json()["errors"][0]["message"]
    assert "up/y" not in served.twin.files


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x--\r\n",
        b"--x\r\n\r\n--x--",
        b"nothing",
        b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{}\r\n--x--\r\n',
        b"--x\r\n" * 1000,
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 100 + b"--x--\r\n",
    ],
)
def test_a_body_that_is_no_form_is_400(served: TwinServer, client: httpx2.Client, body: bytes) -> None:
    headers = PREFLIGHT | {"content-type": "multipart/form-data; boundary=x"}
    response = client.post(served.url, content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["errors"]


def test_a_form_without_a_boundary_is_400(served: TwinServer, client: httpx2.Client) -> None:
    response = client.post(served.url, content=b"x", headers=PREFLIGHT | {"content-type": "multipart/form-data"})
    assert response.status_code == 400


def test_a_file_over_its_bound_is_413(served: TwinServer, client: httpx2.Client) -> None:
    operations = {"query": UPLOAD, "variables": {"file": None, "path": "up/big"}}
    content = b"x" * (served.settings.file_bytes + 1)
    response = client.post(served.url, files=parts(operations, {"f": ["variables.file"]}, f=content), headers=PREFLIGHT)
    assert response.status_code == 413
    assert str(served.settings.file_bytes) in response.json()["errors"][0]["message"]
    assert "up/big" not in served.twin.files


def test_a_form_that_does_not_come_to_an_end_is_408(served: TwinServer) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n' + b" " * 100
    head = post_bytes(body, "apollo-require-preflight: 1", content_type="multipart/form-data; boundary=x")[:-50]
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(head)
        answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 408 ")
