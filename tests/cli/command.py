"""The `sandql` command as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import sandql

PACKAGE = Path(sandql.__file__).parents[1]


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command, with these settings and no other, and with output that is buffered, as it is for most."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SANDQL_") and name != "PYTHONUNBUFFERED"}
    return {**own, "PYTHONPATH": str(PACKAGE), "COLUMNS": "100", **(settings or {})}


def start(*args: str, settings: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start `sandql` with pipes at its three streams."""
    command = [sys.executable, "-W", "error", "-m", "sandql", *args]
    return subprocess.Popen(command, env=environment(settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def sandql_command(
    *args: str, stdin: bytes = b"", timeout_s: float = 60, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `sandql` to its end."""
    with start(*args, settings=settings) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout_s)
        finally:
            process.kill()
    return subprocess.CompletedProcess(args, process.returncode, stdout, stderr)
