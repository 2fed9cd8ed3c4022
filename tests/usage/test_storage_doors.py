"""The bound of what is kept, as a client meets it at each door, and over `kill -9` of the server."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import httpx2

from tests.support.server import Server, running_server

_MB = 1 << 20
_QUOTA = "{ viewer { quota { resource limit used reserved resetsAt } } }"
_UPLOAD = 'mutation ($file: Upload!) { uploadFile(path: "uploaded", file: $file) }'


def _ask(server: Server, query: str, **variables: Any) -> dict[str, Any]:
    return httpx2.post(f"{server.url}/graphql", json={"query": query, "variables": variables}, timeout=30).json()


def _used(server: Server) -> float:
    (part,) = _ask(server, _QUOTA)["data"]["viewer"]["quota"]
    assert {name: part[name] for name in ("resource", "limit", "reserved", "resetsAt")} == {
        "resource": "maxStorageMB",
        "limit": 3,
        "reserved": 0,
        "resetsAt": None,
    }
    return part["used"]


def _archive() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        entry = tarfile.TarInfo("large")
        entry.size = 2 * _MB
        archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    return made.getvalue()


def test_each_door_refuses_what_would_be_too_much_and_a_killed_server_knows_what_is_kept(tmp_path: Path) -> None:
    (tmp_path / "access.toml").write_text("[plans.unlimited.quota]\nmaxStorageMB = 3\n")
    settings: dict[str, Any] = {
        "state_dir": tmp_path,
        "access_file": tmp_path / "access.toml",
        "pool_size": 1,
        "node_pool_size": 0,
        "program_pool_size": 0,
    }
    with running_server(**settings) as server:
        at = f"{server.url}/sandboxes/home/files"
        assert httpx2.put(f"{at}/kept", content=bytes(2 * _MB), timeout=30).status_code == 201
        assert _used(server) == 2
        large = bytes(2 * _MB)
        write = 'mutation ($content: String!) { writeFile(path: "written", content: $content) }'
        parts = {"operations": json.dumps({"query": _UPLOAD, "variables": {"file": None}}), "map": '{"0": ["variables.file"]}'}
        headers = {"graphql-require-preflight": "1"}
        answers = [
            httpx2.post(f"{server.url}/graphql", data=parts, files={"0": ("large", large)}, headers=headers, timeout=30).json(),
            _ask(server, write, content="x" * len(large)),
            *(
                (refused := httpx2.put(address, content=content, headers=sent, timeout=30)).json() | {"status": refused.status_code}
                for address, content, sent in (
                    (f"{at}/put", large, {}),
                    (f"{at}/part", large, {"upload-id": "an-upload", "upload-offset": "0"}),
                    (f"{at}/?archive=tar.gz", _archive(), {}),
                )
            ),
        ]
        for answer in answers:
            (error,) = answer["errors"]
            assert error["extensions"] == {"code": "QUOTA_EXCEEDED", "status": 429}, answer
            assert "quota maxStorageMB: at most 3 MB are kept" in error["message"]
        assert [answer.get("status") for answer in answers] == [None, None, 429, 429, 429]
        assert _ask(server, '{ listFiles(path: "") }') == {"data": {"listFiles": ["kept"]}}
        assert _used(server) <= 3
        server.process.kill()
        server.process.wait()
    with running_server(**settings) as server:
        assert 2 <= _used(server) <= 3
        assert _ask(server, write, content="x" * len(large))["errors"][0]["extensions"]["code"] == "QUOTA_EXCEEDED"
        assert httpx2.delete(f"{server.url}/sandboxes/home/files/kept", timeout=30).status_code == 204
        assert _ask(server, write, content="x" * len(large)) == {"data": {"writeFile": True}}
