"""What the pages for clients show, done as it stands there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documented import at, block, blocks
from tests.support.server import Server

_TOKENS = Path(__file__).parent / "tokens.mjs"  # gives node the WebSocket that it has from 22 on


def done(*command: str, cwd: Path, **variables: str) -> str:
    """What a command prints that ends well and complains of nothing."""
    ended = subprocess.run(command, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_apollo(scripts: Path, server: Server, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(scripts / "node_modules")
    (program,) = blocks("apollo.md", "js")
    (tmp_path / "page.mjs").write_text(f"import {{ use }} from '{_TOKENS}';\nuse();\n{at(program, server.url)}")
    printed = done("node", "page.mjs", cwd=tmp_path)
    assert printed.startswith("42\n")
    assert [printed.count(text) for text in ("text: '1\\n'", "text: '2\\n'", "text: '3\\n'", "COMPLETED")] == [1, 1, 1, 1]


def test_python(server: Server, tmp_path: Path) -> None:
    program = at(block("python.md", "python", "from gql import"), server.url)
    printed = done(sys.executable, "-W", "error", "-c", program, cwd=tmp_path).splitlines()
    assert printed[0] == "42"
    assert [str({"stream": "STDOUT", "text": f"{number}\n"}) in line for number, line in enumerate(printed[3:6])] == [True] * 3
    assert "COMPLETED" in printed[-1]


def test_python_in_its_own_process(tmp_path: Path) -> None:
    program = block("python.md", "python", "open_sandboxes")
    assert "COMPLETED b'42\\n'" in done(sys.executable, "-W", "error", "-c", program, cwd=tmp_path, SANDQL_STATE_DIR=str(tmp_path / "state"))


PRINTED = {
    "HELLO": '{"data":{"executeCode":{"output":"HELLO\\n","stderr":"","outcome":"COMPLETED","exitCode":0}}}',
    "main.py": "from a file\n",
    "accept: text/event-stream": '"text":"3\\n"',
    "uploadFile": '{"artifacts":[{"path":"n.txt","content":"5 data/a.txt\\n"}]}',
}


@pytest.mark.parametrize(("marker", "script"), list(zip(PRINTED, blocks("curl.md", "sh"), strict=True)))
def test_curl(server: Server, tmp_path: Path, marker: str, script: str) -> None:
    (tmp_path / "main.py").write_text("print('from a file')\n")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    assert PRINTED[marker] in done("bash", "-euo", "pipefail", "-c", at(script, server.url), cwd=tmp_path)
