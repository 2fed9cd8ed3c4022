"""One server, one Chromium and one set of npm packages for all tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.node import npm_ci, run_node
from tests.support.server import Server, running_server

Drive = Callable[..., dict[str, Any]]

_PACKAGES = {"node": "nodejs", "npm": "npm", "chromium": "chromium"}
_SCRIPT_S = 180  # a browser starts in two seconds, and in many more beside other tests


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server process with the real engine."""
    with running_server() as running:
        yield running


@pytest.fixture(scope="session")
def drive() -> Drive:
    """Runs a script of this folder with the path of Chromium and the arguments, and answers what it saw."""
    found = {program: shutil.which(program) for program in _PACKAGES}
    missing = " ".join(package for program, package in _PACKAGES.items() if found[program] is None)
    if missing:
        pytest.fail(f"the browser tests need {missing}: apt-get install {missing}, or run `make test` as root, which does it", pytrace=False)
    scripts = npm_ci(Path(__file__).parent)

    def run(name: str, *args: str) -> dict[str, Any]:
        seen: dict[str, Any] = run_node(scripts / name, str(found["chromium"]), *args, timeout_s=_SCRIPT_S)
        return seen

    return run
