"""The wheel has the whole house under one name, and nothing beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from sandql.schema.sdl import printed
from tests.house.tree import ROOT, files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """The wheel that the checkout makes."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", build, str(folder)], cwd=ROOT, check=True, capture_output=True, text=True)
    return ZipFile(folder / done.stdout.split()[-1])


def inside(path: Path) -> str:
    """Where a file of the checkout lies in the wheel."""
    return str(Path("sandql", *path.parts[2:]) if path.parts[0] == "src" else Path("sandql", path))


def test_it_has_every_file_of_every_room(wheel: ZipFile) -> None:
    ours = {inside(path) for path in files() if path.parts[0] in ("src", "schema", "resolvers", "providers") and not (ROOT / path).is_symlink()}
    ours = {name for name in ours if Path(name).name != ".gitattributes"}
    packed = {name for name in wheel.namelist() if Path(name).name != ".gitattributes"}
    assert ours - packed == set()
    assert {name for name in packed - ours if ".dist-info/" not in name} == {"sandql/schema.graphql"}


def test_it_installs_nothing_beside_its_own_name(wheel: ZipFile) -> None:
    """A top-level `schema` would overwrite the package of that name, which is somebody else's."""
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top.partition("-")[0] for top in tops} == {"sandql"}


def test_it_has_the_page_the_schema_and_the_types(wheel: ZipFile) -> None:
    names = set(wheel.namelist())
    assert {"sandql/py.typed", "sandql/server/graphiql/index.html", "sandql/server/graphiql/LICENSES.md"} <= names
    assert wheel.read("sandql/schema.graphql").decode() == printed()
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_it_pins_what_it_was_tested_with(wheel: ZipFile) -> None:
    (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    needs = [line.partition(": ")[2] for line in wheel.read(metadata).decode().splitlines() if line.startswith("Requires-Dist: ")]
    assert needs
    assert all("==" in need for need in needs)
