"""Files: small ones through GraphQL, large ones as streams beside a plain Starlette route, and a folder of ten thousand, page by page."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

from benchmarks.failure import Failed
from benchmarks.http_client import Connection, Question, question
from benchmarks.processes import forget_peak, peak_rss_bytes, rss_bytes
from benchmarks.server import Server
from benchmarks.table import Effort, Row, in_turn, mib, ms, ratio_of

_WRITE_BOUND_S: Final = 0.003
_READ_BOUND_S: Final = 0.002
_DOWNLOAD_BOUND: Final = 300 << 20  # a second
_UPLOAD_BOUND: Final = 150 << 20
_RATIO_BOUND: Final = 0.5
_GROWTH_BOUND_BYTES: Final = 32 << 20
_LIST_BOUND_S: Final = 0.15
_FILES: Final = 10_000
_PAGE: Final = 1000
_STREAM_BYTES: Final = 192 << 20  # within the workspace of a home
_CHUNK_BYTES: Final = 1 << 20
_WAIT_S: Final = 60.0
_CONTENT: Final = "x" * 1024

_WRITE: Final = "mutation ($path: String!, $content: String!) { writeFile(path: $path, content: $content) }"
_READ: Final = "query ($path: String!) { readFile(path: $path) { content size encoding } }"
_LIST: Final = 'query ($after: String) { files(path: "many", first: 1000, after: $after) { name path type size modifiedAt } }'
_MAKE: Final = "import os\nos.makedirs('many', exist_ok=True)\nfor n in range({count}):\n    open(f'many/{{n:05}}', 'w').close()"
_RUN: Final = 'mutation ($code: String!) { executeCode(code: $code, language: "python", sandboxId: "home") { success } }'

# The least that serves files with Starlette: what it costs to take a body to a file, and to send one, without any of our duties.
_PLAIN: Final = """
import sys, socket
import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse, Response
from starlette.routing import Route
async def get(request):
    return FileResponse(sys.argv[1] + "/plain")
async def put(request):
    with open(sys.argv[1] + "/plain", "wb") as file:
        async for piece in request.stream():
            file.write(piece)
    return Response(status_code=201)
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
app = Starlette(routes=[Route("/plain", get), Route("/plain", put, methods=["PUT"])])
uvicorn.Server(uvicorn.Config(app, loop="uvloop", http="httptools", log_config=None, lifespan="off")).run(sockets=[listening])
"""


def rows(server: Server, effort: Effort) -> list[Row]:
    """Rows for small files, large ones, and many. The home is left empty."""
    connection = Connection(server.port)
    try:
        return [*_small(connection, effort), *_large(server, effort), _many(connection, effort)]
    finally:
        connection.ask(question('mutation { removeFile(path: "many", recursive: true) }'))
        connection.close()


def _small(connection: Connection, effort: Effort) -> list[Row]:
    write = question(_WRITE, {"path": "small", "content": _CONTENT}, {"writeFile": True})
    read = question(_READ, {"path": "small"}, {"readFile": {"content": _CONTENT, "size": 1024, "encoding": "UTF8"}})
    written, was_read = ([connection.ask(asked) for _ in range(effort.runs(300))] for asked in (write, read))
    return [
        Row("writeFile, 1 KiB, on the disk when it answers, p50", ms(median(written)), f"≤ {ms(_WRITE_BOUND_S)}", median(written) <= _WRITE_BOUND_S),
        Row("readFile, 1 KiB, p50", ms(median(was_read)), f"≤ {ms(_READ_BOUND_S)}", median(was_read) <= _READ_BOUND_S),
    ]


def _large(server: Server, effort: Effort) -> list[Row]:
    size = round(_STREAM_BYTES * min(1.0, effort.scale * 4))
    with _plain_server() as plain_port:
        forget_peak(server.pid)
        before = rss_bytes(server.pid)
        ups = in_turn(effort.rounds, lambda: _upload(server.port, _path("large"), size), lambda: _upload(plain_port, "/plain", size))
        downs = in_turn(effort.rounds, lambda: _download(server.port, _path("large"), size), lambda: _download(plain_port, "/plain", size))
        growth = max(0, peak_rss_bytes(server.pid) - before)
    _delete(server.port, _path("large"))
    return [
        _stream_row("upload", size, ups, _UPLOAD_BOUND),
        _stream_row("download", size, downs, _DOWNLOAD_BOUND),
        Row(
            "growth of the server's memory by those streams, at its peak", mib(growth), f"≤ {mib(_GROWTH_BOUND_BYTES)}", growth <= _GROWTH_BOUND_BYTES
        ),
    ]


def _stream_row(what: str, size: int, rates: list[list[float]], bound: int) -> Row:
    ours, plain = (median(side) for side in rates)
    ratio = ratio_of(*rates)
    ok = ours >= bound or ratio >= _RATIO_BOUND
    measured = f"{mib(ours)}/s; plain Starlette {mib(plain)}/s"
    return Row(f"{what} of {mib(size)} over HTTP", measured, f"≥ {mib(bound)}/s or ≥ {_RATIO_BOUND:g} x plain", ok, ratio)


def _many(connection: Connection, effort: Effort) -> Row:
    count = max(_PAGE, round(_FILES * min(1.0, effort.scale)))
    connection.ask(question(_RUN, {"code": _MAKE.format(count=count)}, {"executeCode": {"success": True}}))
    times = [_listed(connection, count) for _ in range(effort.runs(10))]
    usual = median(times)
    what = f"{count:,} files listed, {_PAGE:,} a page, all pages"
    return Row(what, ms(usual), f"≤ {ms(_LIST_BOUND_S)}", usual <= _LIST_BOUND_S if count == _FILES else None)


def _listed(connection: Connection, count: int) -> float:
    """The seconds in which the server answered; reading the answers is the client's business."""
    elapsed, seen, after = 0.0, 0, None
    while seen < count:
        began = perf_counter()
        body = _answer(connection, question(_LIST, {"after": after}))
        elapsed += perf_counter() - began
        page: list[dict[str, Any]] = json.loads(body)["data"]["files"]
        if not page:
            raise Failed(f"expected {count} files, got {seen}")
        seen += len(page)
        after = page[-1]["path"]
    return elapsed


def _answer(connection: Connection, asked: Question) -> bytes:
    connection.send(asked)
    while (body := connection.receive(asked)) is None:
        pass
    return body


def _path(name: str) -> str:
    return f"/sandboxes/home/files/{name}"


def _upload(port: int, path: str, size: int) -> float:
    """Bytes a second."""
    chunk = os.urandom(_CHUNK_BYTES)
    with socket.create_connection(("127.0.0.1", port), timeout=_WAIT_S) as connection:
        began = perf_counter()
        connection.sendall(f"PUT {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n".encode())
        left = size
        while left:
            connection.sendall(chunk[:left] if left < len(chunk) else chunk)
            left -= min(left, len(chunk))
        answer = connection.recv(_CHUNK_BYTES)
        elapsed = perf_counter() - began
    if b" 201 " not in answer[:16]:
        raise Failed(f"expected 201, got {answer[:500]!r}")
    return size / elapsed


def _download(port: int, path: str, size: int) -> float:
    """Bytes a second."""
    buffer = bytearray(_CHUNK_BYTES)
    with socket.create_connection(("127.0.0.1", port), timeout=_WAIT_S) as connection:
        began = perf_counter()
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        received = len(head.partition(b"\r\n\r\n")[2])
        while count := connection.recv_into(buffer):
            received += count
        elapsed = perf_counter() - began
    if b" 200 " not in head[:16] or received != size:
        raise Failed(f"expected 200 and {size} bytes, got {received} after {head[:500]!r}")
    return size / elapsed


def _delete(port: int, path: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=_WAIT_S) as connection:
        connection.sendall(f"DELETE {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
        connection.recv(4096)


@contextmanager
def _plain_server() -> Generator[int]:
    """The port of the plain server, on the same disk as a state folder would be."""
    with tempfile.TemporaryDirectory(prefix="sandql-bench-plain-") as folder:
        program = Path(folder) / "plain.py"
        program.write_text(_PLAIN)
        with subprocess.Popen([sys.executable, str(program), folder], stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                found = re.match(r"\d+", process.stdout.readline())
                if found is None:
                    raise Failed("the plain server ended before it listened")
                yield int(found[0])
            finally:
                process.terminate()
