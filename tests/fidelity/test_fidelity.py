"""Every behaviour three times: as the language python, as `python3 main.py` by bash in the same kind of cell, and without any cell.

The second finds what the engine's short way to a run changes, the third what the walls of a cell change.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandql.core.settings import load_settings
from sandql.core.values import Execution, InputFile, Limits, RunRequest
from sandql.providers.base import Provider
from sandql.providers.registry import make_provider
from tests.fidelity.bare import run_bare
from tests.fidelity.case import Case
from tests.fidelity.cases import errors, exits, imports, module, processes, source, streams

pytestmark = pytest.mark.unprivileged

_SUBJECTS = (module, errors, source, exits, streams, processes, imports)
CASES = [pytest.param(case, id=f"{subject.__name__.rpartition('.')[2]}: {case.name}") for subject in _SUBJECTS for case in subject.CASES]
_ADDRESS = re.compile(rb"0x[0-9a-f]{9,16}")  # of an object or a thread: never the same twice


@dataclass(frozen=True, slots=True)
class Runner:
    """A started provider, and the interpreter that its cells have."""

    provider: Provider
    executable: str


@pytest.fixture(scope="module")
async def runner(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Runner]:
    """A real provider."""
    state: Path = tmp_path_factory.mktemp("fidelity")
    provider = make_provider("local", load_settings(state_dir=state))
    try:
        await provider.start()
        said = await _run(provider, RunRequest("bash", b'python3 -c "import sys; print(sys.executable)"'))
        yield Runner(provider, said.stdout.decode().strip())
    finally:
        await provider.aclose()


@pytest.mark.parametrize("case", CASES)
async def test_like_python3(runner: Runner, case: Case, tmp_path: Path) -> None:
    """Output, errors, exit code and signal are the same to the byte."""
    limits = Limits(wall_ms=case.wall_ms, cpu_ms=case.wall_ms, output_bytes=1 << 20)
    by_shell = b'exec python3 main.py "$@"\n'
    beside = case.input_files
    in_cell, started, bare = await asyncio.gather(
        _run(runner.provider, RunRequest("python", case.source, case.stdin, case.args, case.env, beside, limits)),
        _run(runner.provider, RunRequest("bash", by_shell, case.stdin, case.args, case.env, (*beside, InputFile("main.py", case.source)), limits)),
        run_bare(runner.executable, case, tmp_path),
    )
    ours = _comparable(_seen(in_cell), case)
    assert ours == _comparable(_seen(started), case)
    if case.on_host:
        assert ours == _comparable(bare, case)


async def test_a_file_left_open_is_written(runner: Runner) -> None:
    """What was written to a file and not flushed is in it when the program has ended."""
    code = b"f = open('out.txt', 'w')\nf.write('kept')\nclass A:\n    file = open('other.txt', 'w')\n    file.write('too')\nA.me = A()"
    run = await _run(runner.provider, RunRequest("python", code, artifacts=("out.txt", "other.txt")))
    assert {artifact.path: artifact.content for artifact in run.artifacts} == {"out.txt": b"kept", "other.txt": b"too"}


def test_known_differences_are_documented() -> None:
    headings = {line[3:].strip() for line in (Path(__file__).parent / "DIFFERENCES.md").read_text().splitlines() if line.startswith("## ")}
    used = {subject_case.differs for subject in _SUBJECTS for subject_case in subject.CASES if subject_case.differs}
    assert used == {heading for heading in headings if not heading.endswith("(not compared)")}


def test_there_are_many() -> None:
    assert len(CASES) >= 250
    assert len({case.id for case in CASES}) == len(CASES)


async def _run(provider: Provider, request: RunRequest) -> Execution:
    async with provider.fresh() as sandbox:
        return await asyncio.wait_for(sandbox.run(request), 60)


def _seen(run: Execution) -> dict[str, object]:
    return {"stdout": run.stdout, "stderr": run.stderr, "exit code": run.exit_code, "signal": run.signal}


def _comparable(seen: dict[str, object], case: Case) -> dict[str, object]:
    if case.differs:
        return {name: seen[name] for name in ("exit code", "signal")}
    return {name: _ADDRESS.sub(b"0x-", value) if isinstance(value, bytes) else value for name, value in seen.items()}
