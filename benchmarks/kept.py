"""What is kept: terminals, many sandboxes, and a template's imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

from benchmarks.bare import Bare
from benchmarks.failure import Failed
from benchmarks.http_client import Connection, question, run_code
from benchmarks.processes import tree_pss_bytes
from benchmarks.server import Server, running_server
from benchmarks.table import Effort, Row, mib, ms, percentile
from benchmarks.websocket_client import Socket

_SANDBOXES: Final = 1_000


def rows(server: Server, effort: Effort) -> list[Row]:
    """A row for each number, with one server."""
    return [_echo(server, effort)]


def many_rows(effort: Effort) -> list[Row]:
    """What many kept sandboxes cost, with a server of their own."""
    with running_server(max_sandboxes=2 * _SANDBOXES) as server:
        connection = Connection(server.port)
        fresh = run_code("print(1)", "python")
        runs = effort.runs(200)
        try:
            before, before_bytes = median(connection.ask(fresh) for _ in range(runs)), tree_pss_bytes(server.pid)
            make = question("mutation { createSandbox(timeout: 86400000) { status } }", None, {"createSandbox": {"status": "RUNNING"}})
            count = effort.runs(_SANDBOXES)
            for _ in range(count):
                connection.ask(make)
            after, after_bytes = median(connection.ask(fresh) for _ in range(runs)), tree_pss_bytes(server.pid)
        finally:
            connection.close()
    grown, ratio = after_bytes - before_bytes, after / before
    return [
        Row(f"{count} kept sandboxes, PSS", mib(grown), f"≤ {mib(64 << 20)}", grown <= 64 << 20),
        Row(f"a fresh run beside {count} kept sandboxes, p50", f"{ms(after)}; before {ms(before)}", "≤ 1.1 x before", ratio <= 1.1, ratio),
    ]


def template_rows(bare: Bare, effort: Effort) -> list[Row]:
    """`import numpy, pandas` with the template python-data, which is built for it, beside a bare interpreter with the same packages."""
    with tempfile.TemporaryDirectory(prefix="sandql-bench-template-") as folder:
        environment = {**os.environ, "SANDQL_STATE_DIR": folder}
        built = subprocess.run(
            [sys.executable, "-m", "sandql", "template", "build", "python-data"], env=environment, capture_output=True, check=False
        )
        if built.returncode:
            raise Failed(f"the template could not be built: {built.stderr.decode()}")
        site = Path(folder) / "templates" / "python-data" / "site"
        alone = [*bare.python.argv[:1], "-c", "import numpy, pandas"]
        with running_server(state_dir=folder) as server:
            connection = Connection(server.port)
            query = 'mutation { executeCode(template: "python-data", language: "python", code: "import numpy, pandas") { success } }'
            asked = question(query, None, {"executeCode": {"success": True}})
            connection.ask(asked)
            mine = median(connection.ask(asked) for _ in range(effort.runs(50)))
            connection.close()
        others = median(_timed(alone, {**os.environ, "PYTHONPATH": str(site)}) for _ in range(effort.runs(8)))
    ratio = mine / others
    return [Row("`import numpy, pandas`, fresh sandbox of python-data, p50", f"{ms(mine)}; bare {ms(others)}", "≤ 0.1 x bare", ratio <= 0.1, ratio)]


def _timed(command: list[str], environment: dict[str, str]) -> float:
    began = perf_counter()
    subprocess.run(command, env=environment, check=True)
    return perf_counter() - began


def _echo(server: Server, effort: Effort) -> Row:
    socket = Socket(server.port)
    try:
        opened = _answer(socket, "open", 'mutation { createTerminal(command: ["cat"]) { id } }', {})
        id_ = opened["createTerminal"]["id"]
        watch = "subscription ($id: ID!) { terminalOutput(id: $id) { ... on TerminalOutput { offset } } }"
        socket.send({"id": "watch", "type": "subscribe", "payload": {"query": watch, "variables": {"id": id_}}})
        times: list[float] = []
        for number in range(effort.runs(200)):
            began = perf_counter()
            query = 'mutation ($id: ID!) { terminalInput(id: $id, data: "x") }'
            socket.send({"id": f"type{number}", "type": "subscribe", "payload": {"query": query, "variables": {"id": id_}}})
            echoed = typed = False
            while not (echoed and typed):
                message: dict[str, Any] = json.loads(socket.message())
                if message["id"] == "watch" and not echoed:
                    echoed = True
                    times.append(perf_counter() - began)
                typed = typed or (message["id"] != "watch" and message["type"] == "complete")
        _answer(socket, "close", "mutation ($id: ID!) { closeTerminal(id: $id) }", {"id": id_})
    finally:
        socket.close()
    echo = percentile(times, 50)
    return Row("a terminal's echo through GraphQL, p50", ms(echo), "≤ 5.00 ms", echo <= 0.005)


def _answer(socket: Socket, id_: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    socket.send({"id": id_, "type": "subscribe", "payload": {"query": query, "variables": variables}})
    while True:
        message: dict[str, Any] = json.loads(socket.message())
        if message["id"] == id_ and message["type"] == "next":
            return message["payload"]["data"]
        if message["id"] == id_ and message["type"] == "error":
            raise Failed(str(message["payload"]))
