"""The template python-data: built by the command, and its packages imported before a program begins."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from sandql.core.errors import BadRequest
from sandql.core.values import Execution, Outcome
from sandql.resolvers import code, contexts, sandboxes
from sandql.resolvers.operations import CreateContext, CreateSandbox, ExecuteCode, RunCommand
from sandql.sandboxes.borrow import Sandboxes
from tests.support.engine import until
from tests.support.house import ALICE, open_house


def command(state_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`sandql template …`, with that state folder."""
    environment = {**os.environ, "SANDQL_STATE_DIR": str(state_dir)}
    return subprocess.run([sys.executable, "-m", "sandql", "template", *words], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Sandboxes]:
    """A house whose template was built while it was open."""
    state_dir = tmp_path_factory.mktemp("state")
    async with open_house(state_dir) as opened:
        with pytest.raises(BadRequest, match="sandql template build python-data"):
            await run(opened, "print(1)")
        built = await asyncio.to_thread(command, state_dir, "build", "python-data")
        assert (built.returncode, built.stderr) == (0, "")
        yield opened


async def run(house: Sandboxes, program: str, **more: object) -> Execution:
    asked = ExecuteCode(program, "python", template="python-data", **more)  # pyright: ignore[reportArgumentType]
    return await code.execute(house, ALICE, asked)


async def test_the_packages_are_there_and_imported_already(house: Sandboxes) -> None:
    done = await run(
        house, "import sys\nprint({'numpy', 'pandas', 'matplotlib'} <= set(sys.modules))\nimport numpy, pandas\nprint(numpy.arange(3).sum())"
    )
    assert (done.stdout, done.stderr) == (b"True\n3\n", b"")
    listed = [(item.name, item.available) for item in sandboxes.list_templates(house, ALICE, None)]
    assert listed == [("default", True), ("python-data", True)]


async def test_a_fresh_sandbox_is_fresh(house: Sandboxes) -> None:
    await run(house, "import numpy\nnumpy.planted = 1\nopen('left', 'w')")
    done = await run(house, "import numpy, os\nprint(hasattr(numpy, 'planted'), os.listdir())")
    assert done.stdout == b"False []\n" or b"main.py" in done.stdout
    assert b"left" not in done.stdout
    assert b"True" not in done.stdout


async def test_random_numbers_differ_and_can_be_seeded(house: Sandboxes) -> None:
    draw = "import numpy, random\nprint(numpy.random.rand(), numpy.random.default_rng().random(), random.random())"
    drawn = await asyncio.gather(*(run(house, draw) for _ in range(6)))
    assert len({done.stdout for done in drawn}) == 6
    assert all(len({done.stdout.split()[place] for done in drawn}) == 6 for place in range(3))
    seeded = "import numpy\nnumpy.random.seed(7)\nprint(numpy.random.rand())"
    assert (await run(house, seeded)).stdout == (await run(house, seeded)).stdout == b"0.07630828937395717\n"


async def test_nothing_of_a_template_can_be_changed(house: Sandboxes) -> None:
    write = "open(os.path.join(os.path.dirname(numpy.__file__), 'evil.py'), 'w')"
    attack = f"import numpy, os\ntry:\n    {write}\nexcept OSError as error:\n    print(error.errno)"
    assert (await run(house, attack)).stdout in (b"30\n", b"13\n")


async def test_other_interpreters_find_the_packages_too(house: Sandboxes) -> None:
    done = await code.execute(
        house, ALICE, RunCommand(argv=("python3", "-c", "import pandas; print(pandas.DataFrame({'a': [1]}).shape)"), template="python-data")
    )
    assert (done.stdout, done.outcome) == (b"(1, 1)\n", Outcome.COMPLETED)


async def test_frames_and_figures_in_a_context(house: Sandboxes) -> None:
    made = await sandboxes.create_sandbox(house, ALICE, CreateSandbox(template="python-data"))
    context = await contexts.create_context(house, ALICE, CreateContext("python", sandbox_id=made.id))

    async def cell(program: str) -> dict[str, str]:
        done = await code.execute(house, ALICE, ExecuteCode(program, "python", context_id=context.id))
        assert done.outcome is Outcome.COMPLETED, done
        return {item.mime_type: item.data for item in done.results if item.index == len(done.results) - 1 or item.mime_type != "text/plain"}

    frame = await cell("import pandas as pd\nframe = pd.DataFrame({'a': [1, 2], 'b': ['x', '☃']})\nframe")
    assert "<table" in frame["text/html"]
    assert frame["application/json"] == '{"a":{"0":1,"1":2},"b":{"0":"x","1":"\\u2603"}}'
    figure = await cell("import matplotlib.pyplot as plt\n_ = plt.plot([1, 4, 9])")
    assert figure["image/png"].startswith("iVBORw0KGgo")
    assert "image/png" not in await cell("1"), "a figure is shown once"
    await sandboxes.destroy_sandbox(house, ALICE, made.id)


async def test_a_kept_sandbox_has_its_template_and_no_other(house: Sandboxes) -> None:
    made = await sandboxes.create_sandbox(house, ALICE, CreateSandbox(template="python-data"))
    done = await code.execute(house, ALICE, ExecuteCode("import numpy\nprint(numpy.pi)", "python", sandbox_id=made.id))
    assert done.stdout == b"3.141592653589793\n"
    for id_ in (made.id, "home"):
        with pytest.raises(BadRequest, match="template"):
            await run(house, "print(1)", sandbox_id=id_)
    with pytest.raises(BadRequest, match="python-data"):
        await run_other(house)
    await sandboxes.destroy_sandbox(house, ALICE, made.id)


async def run_other(house: Sandboxes) -> Execution:
    return await code.execute(house, ALICE, ExecuteCode("print(1)", "python", template="../python-data"))


async def test_the_default_knows_nothing_of_it(house: Sandboxes) -> None:
    plain = await code.execute(house, ALICE, ExecuteCode("import os\nprint(os.path.exists('/opt'), 'PYTHONPATH' in os.environ)", "python"))
    assert plain.stdout == b"False False\n"


async def test_the_command_says_what_there_is_and_removes_it(house: Sandboxes) -> None:
    state_dir = house.settings.state_dir
    listed = await asyncio.to_thread(command, state_dir, "list")
    assert [line.split()[:2] for line in listed.stdout.splitlines()] == [["default", "built"], ["python-data", "built"]]
    assert (await asyncio.to_thread(command, state_dir, "build", "no-such")).returncode == 2
    assert (await asyncio.to_thread(command, state_dir, "remove", "python-data")).returncode == 0
    assert (await asyncio.to_thread(command, state_dir, "remove", "python-data")).returncode == 2
    with pytest.raises(BadRequest, match="not built"):
        await sandboxes.create_sandbox(house, ALICE, CreateSandbox(template="python-data"))
    assert await until(lambda: not list((state_dir / "templates").iterdir()))
