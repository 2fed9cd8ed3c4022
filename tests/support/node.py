"""npm packages and node scripts for tests."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

_INSTALL_S = 300


def npm_ci(folder: Path) -> Path:
    """Install the locked packages of a folder, once for each state of its lock; answers the folder.

    Raises:
        CalledProcessError: npm could not install them; its output was shown.
    """
    lock = folder / "package-lock.json"
    mark = folder / "node_modules" / ".package-lock.json"  # npm writes it last
    if not mark.exists() or mark.stat().st_mtime < lock.stat().st_mtime:
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=folder, check=True, timeout=_INSTALL_S)
        os.utime(mark)
    return folder


def run_node(script: Path, *args: str, timeout_s: float = 60) -> Any:
    """Run a node script and answer the JSON that is its standard output.

    A script that fails, or says anything on standard error (a deprecation, an unhandled rejection), fails the test.
    """
    command = ["node", "--trace-uncaught", "--unhandled-rejections=strict", script.name, *args]
    done = subprocess.run(command, cwd=script.parent, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, f"{script.name} exited with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert done.stderr == "", f"{script.name} warned:\n{done.stderr[-4000:]}"
    return json.loads(done.stdout)
