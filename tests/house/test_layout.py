"""The rooms lie where the house says, each file has one name, and each fits in the head."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys

import pytest

from tests.house.tree import ROOMS, ROOT, imported, parse, product, read, written

MOST_LINES = 400
MEDIAN_LINES = 120


@pytest.mark.parametrize("room", ROOMS)
def test_the_link_in_the_package_leads_to_the_room(room: str) -> None:
    link = ROOT / "src" / "sandql" / room
    assert link.is_symlink()
    assert str(link.readlink()) == f"../../{room}"
    assert link.resolve() == ROOT / room
    assert (ROOT / room / "__init__.py").is_file()


def test_a_room_has_no_second_module_name() -> None:
    """From the root `import providers.base` would work, and make a second copy of every class."""
    for path in written():
        if path.suffix != ".py":
            continue
        for name in imported(parse(path)):
            assert name.partition(".")[0] not in ROOMS, f"{path} imports {name}: say sandql.{name}"
            assert not name.startswith("."), f"{path} imports {name}: imports are absolute"


def test_loading_the_whole_house_gives_each_file_one_name() -> None:
    names = [
        ".".join(["sandql", *path.with_suffix("").parts[2 if path.parts[0] == "src" else 0 :]]).removesuffix(".__init__")
        for path in product()
        if "cell" not in path.parts and path.stem not in ("__main__", "env")  # alembic runs that one, in an environment of its own
    ]
    program = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
print(*sorted(name for name in sys.modules if name.partition(".")[0] in {ROOMS!r}))
seen = {{}}
for name, module in sys.modules.items():
    if name.startswith("sandql") and (file := getattr(module, "__file__", None)):
        import os
        other = seen.setdefault(os.path.realpath(file), name)
        assert other == name, (other, name)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_no_file_is_longer_than_fits_in_the_head() -> None:
    code = {".cjs", ".js", ".mjs", ".py", ".sh", ".ts", ".tsx"}
    long = {str(path): lines for path in written() if path.suffix in code and (lines := len(read(path).splitlines())) > MOST_LINES}
    assert long == {}


def test_half_of_the_files_are_short() -> None:
    lengths = [lines for path in product() if path.name != "__init__.py" and (lines := len(read(path).splitlines()))]
    assert statistics.median(lengths) <= MEDIAN_LINES * 1.25


def test_init_files_hold_no_logic() -> None:
    for path in product():
        if path.name == "__init__.py":
            kinds = {type(node).__name__ for node in parse(path).body}
            assert kinds <= {"Expr", "Import", "ImportFrom", "Assign", "AnnAssign"}, path
            assert ast.get_docstring(parse(path)), f"{path}: say in one sentence what the room is for"


def test_what_runs_in_a_cell_needs_only_the_standard_library() -> None:
    """It is run by an interpreter in which sandql is not installed."""
    own = "cell"  # the folder is on its path
    for path in product():
        if "cell" in path.parts:
            for name in imported(parse(path)):
                first = name.partition(".")[0]
                assert first in sys.stdlib_module_names or first == own, f"{path} imports {name}"


def test_the_start_imports_no_room_that_it_does_not_need() -> None:
    """`sandql --help` answers at once, and `sandql serve` is serving within two seconds."""
    heavy = {"pydantic", "starlette", "strawberry", "structlog", "uvicorn"}
    program = f"import sys, sandql.cli; print(*sorted(set(sys.modules) & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
