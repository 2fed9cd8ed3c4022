"""The interpreter without any of the house: `python3 main.py` in a folder of this machine, where everything is the system's own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

from tests.fidelity.case import Case

_ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/workspace", "LC_CTYPE": "C.UTF-8", "USER": "sandbox", "SHELL": "/bin/sh"}


async def run_bare(executable: str, case: Case, folder: Path) -> dict[str, object]:
    """Run it to its end, or to the case's wall time. The folder's path is shown as /workspace."""
    for path, content in {**case.files, "main.py": case.source}.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    prefix = "" if executable.startswith("/usr/") else f"{os.path.dirname(executable)}:"  # the house adds it for an interpreter elsewhere
    env = {name: value.replace("/workspace", str(folder)) for name, value in {**_ENV, "PATH": prefix + _ENV["PATH"], **case.env}.items()}
    return await asyncio.to_thread(_run, [executable, "main.py", *case.args], env, case, folder)


def _run(command: list[str], env: dict[str, str], case: Case, folder: Path) -> dict[str, object]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as process:
        try:
            stdout, stderr = process.communicate(case.stdin, timeout=case.wall_ms / 1000)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
    code = process.returncode
    here = str(folder).encode()
    return {
        "stdout": stdout.replace(here, b"/workspace"),
        "stderr": stderr.replace(here, b"/workspace"),
        "exit code": code if code >= 0 else None,
        "signal": signal.Signals(-code).name if code < 0 else None,
    }
