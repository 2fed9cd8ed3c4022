"""The four operations of the seed and the stream, through a server process and the real engine."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.support.raw_http import post_bytes, read_until
from tests.support.server import Server, running_server

RUN = """mutation ($code: String!, $language: String!, $timeout: Int, $limits: LimitsInput, $sandbox: ID, $stdin: String, $files: [FileInput!],
  $artifacts: [String!], $args: [String!], $env: [EnvironmentVariable!]) {
  executeCode(code: $code, language: $language, timeout: $timeout, limits: $limits, sandboxId: $sandbox, stdin: $stdin, files: $files,
    artifacts: $artifacts, args: $args, env: $env) {
    id output stderr executionTime success outcome exitCode signal truncated cpuTime peakMemory provider language sandboxId
    error { code message } isolation { level namespaces seccomp landlock cgroup network } artifacts { path content encoding size }
  }
}"""
STREAM = """subscription ($code: String!, $sandbox: ID) { executeCode(code: $code, language: "python", sandboxId: $sandbox) {
  ... on ExecutionStarted { seq } ... on ExecutionOutput { seq stream text } ... on ExecutionCompleted { seq result { outcome } } } }"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with the engine, for this file."""
    with running_server() as running:
        yield running


def ask(server: Server, query: str, **variables: Any) -> dict[str, Any]:
    answer = httpx2.post(f"{server.url}/graphql", json={"query": query, "variables": variables}, timeout=30).json()
    assert "errors" not in answer, answer
    return answer["data"]


def run(server: Server, code: str, language: str = "python", **variables: Any) -> dict[str, Any]:
    return ask(server, RUN, code=code, language=language, **variables)["executeCode"]


def test_a_program_runs(server: Server) -> None:
    done = run(server, "print(6 * 7)")
    assert (done["output"], done["stderr"], done["success"], done["outcome"], done["exitCode"]) == ("42\n", "", True, "COMPLETED", 0)
    assert done["sandboxId"] is None
    assert done["provider"] == "local"
    assert done["isolation"]["seccomp"] is True
    assert {"pid", "net", "mount", "user"} <= set(done["isolation"]["namespaces"])


def test_a_program_that_fails_is_an_answer(server: Server) -> None:
    done = run(server, "import sys; print('so far'); sys.exit(3)")
    assert (done["output"], done["success"], done["outcome"], done["exitCode"], done["error"]) == ("so far\n", False, "FAILED", 3, None)
    assert "ZeroDivisionError" in run(server, "1/0")["stderr"]


def test_a_program_that_takes_too_long_says_so(server: Server) -> None:
    done = run(server, "print('so far', flush=True)\nwhile True: pass", timeout=300)
    assert (done["output"], done["success"], done["outcome"], done["error"]["code"]) == ("so far\n", False, "TIMED_OUT", "TIMED_OUT")
    assert done["stderr"].endswith(done["error"]["message"])
    assert 250 <= done["executionTime"] < 3_000


def test_everything_that_can_be_given(server: Server) -> None:
    code = """import os, sys
print(sys.stdin.read(), sys.argv[1:], os.environ['COLOUR'], open('in/a.bin', 'rb').read())
open('out.bin', 'wb').write(bytes([255, 0]))"""
    files = [{"path": "in/a.bin", "content": "/wA=", "encoding": "BASE64"}]
    env = [{"name": "COLOUR", "value": "grün"}]
    done = run(server, code, "py", stdin="ü", args=["-x", "a b"], env=env, files=files, artifacts=["*.bin"], limits={"memory": 128 * 2**20})
    assert done["stderr"] == ""
    assert done["output"] == "ü ['-x', 'a b'] grün b'\\xff\\x00'\n"
    assert done["language"] == "python"
    assert done["artifacts"] == [{"path": "out.bin", "content": "/wA=", "encoding": "BASE64", "size": 2}]


def test_a_fresh_sandbox_is_fresh_and_home_is_kept(server: Server) -> None:
    write = "open('kept.txt', 'a').write('x'); print(open('kept.txt').read())"
    assert [run(server, write)["output"] for _ in range(2)] == ["x\n", "x\n"]
    assert [run(server, write, sandbox="home")["output"] for _ in range(2)] == ["x\n", "xx\n"]
    assert ask(server, '{ readFile(path: "kept.txt") { content } }')["readFile"] == {"content": "xx"}


def test_files_written_by_graphql_are_there_for_programs(server: Server) -> None:
    assert ask(server, 'mutation { writeFile(path: "notes/a.txt", content: "héllo") }') == {"writeFile": True}
    assert run(server, "print(open('notes/a.txt').read())", sandbox="home")["output"] == "héllo\n"
    data = ask(
        server, '{ listFiles(path: "notes") readFile(path: "/workspace/notes/a.txt") { content size encoding } files(path: "notes") { type size } }'
    )
    assert data["listFiles"] == ["a.txt"]
    assert data["readFile"] == {"content": "héllo", "size": 6, "encoding": "UTF8"}
    assert data["files"] == [{"type": "FILE", "size": 6}]


def test_strange_names_and_times_are_listed(server: Server) -> None:
    code = r"""import os
os.makedirs('odd')
open(b'odd/caf\xe9', 'w').close()
os.utime(b'odd/caf\xe9', (1, 1 << 40))
with open('odd/big', 'w') as f:
    f.truncate(1 << 33)"""
    done = run(server, code, sandbox="home")
    entries = {entry["name"]: entry for entry in ask(server, '{ files(path: "odd") { name size modifiedAt } }')["files"]}
    assert "caf\ufffd" in entries
    assert done["success"] or "File too large" in done["stderr"] or "No space" in done["stderr"]


def open_stream(server: Server, code: str, **variables: Any) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    body = json.dumps({"query": STREAM, "variables": {"code": code, **variables}}).encode()
    connection.sendall(post_bytes(body, "Accept: text/event-stream"))
    return connection


def test_output_arrives_while_the_program_runs(server: Server) -> None:
    code = "import os, time\nprint('first', flush=True)\nwhile not os.path.exists('go on'):\n    time.sleep(0.01)\nprint('second')"
    with open_stream(server, code, sandbox="home") as connection:
        read_until(connection, b'"first\\n"')
        assert ask(server, 'mutation { writeFile(path: "go on", content: "") }') == {"writeFile": True}
        end = read_until(connection, b"event: complete")
        assert b'"COMPLETED"' in end
        assert b'"second\\n"' in end


def test_leaving_ends_the_program(server: Server) -> None:
    beat = "import itertools, time\nfor n in itertools.count():\n    open('beat', 'w').write(str(n))\n    print(n, flush=True)\n    time.sleep(0.01)"
    with open_stream(server, beat, sandbox="home") as connection:
        read_until(connection, b'"text":"5\\n"')
    deadline = time.monotonic() + 5
    query = '{ readFile(path: "beat") { content } }'
    seen = [ask(server, query), ask(server, query)]
    while seen[-1] != seen[-2] or len(seen) < 10:
        assert time.monotonic() < deadline, "the program goes on"
        seen.append(ask(server, query))
        time.sleep(0.02)


def test_a_mebibyte_through_the_stream_is_whole(server: Server) -> None:
    text = "€uro " * 40_000
    with open_stream(server, "print('€uro ' * 40_000, end='')") as connection:
        taken = read_until(connection, b"event: complete").decode("utf-8", "replace")
    pieces = [json.loads(line[6:]) for line in taken.splitlines() if line.startswith("data: {")]
    assert "".join(piece["data"]["executeCode"].get("text", "") for piece in pieces) == text


def test_javascript_and_bash(server: Server) -> None:
    assert run(server, "console.log([1, 2].map(n => n + 1))", "js")["output"] == "[ 2, 3 ]\n"
    assert run(server, "echo $((6 * 7)); exit 2", "bash")["exitCode"] == 2
