"""What holds for every test: an environment of its own, and asyncio as the one event loop."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile

import pytest
from hypothesis import settings as hypothesis_settings

# Examples are slow now and then on a busy machine; that is no fault of the code.
hypothesis_settings.register_profile("sandql", deadline=None, print_blob=True)
hypothesis_settings.load_profile("sandql")


_IGNORED_BY_PYTHON = {signal.SIGPIPE, signal.SIGXFSZ}
_TEMP_ROOT = "PYTEST_DEBUG_TEMPROOT"
_own_temp = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Forget the settings of whoever runs the tests, and take a temporary folder that no other session tidies up."""
    for name in [name for name in os.environ if name.startswith("SANDQL_")]:
        del os.environ[name]
    # `nohup` and a shell's `&` have signals ignored, which every process that is started here would inherit. What has a handler it does not.
    for number in signal.valid_signals() - _IGNORED_BY_PYTHON:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _pass_over)
    if _TEMP_ROOT not in os.environ:
        config.stash[_own_temp] = os.environ[_TEMP_ROOT] = tempfile.mkdtemp(prefix="sandql-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the session's temporary folder."""
    if (folder := config.stash.get(_own_temp, None)) is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _pass_over(number: int, frame: object) -> None:
    """Ignore a signal, and have no child ignore it."""


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the homes of tests out of the home of whoever runs them."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The event loop of async tests and fixtures."""
    return "asyncio"
