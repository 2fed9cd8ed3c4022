"""What must not stand in a file, and how things are named."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import ROOT, files, is_generated, parse, product, read, written

# Joined here, so that this file does not hold what it looks for.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")
_PARTS = """
    py-pi.org python-hosted.org registry.npm-js.org registry.npm-js.com registry.yarn-pkg.com npm-js.org
    deb.de-bian.org security.de-bian.org snapshot.de-bian.org proxy.go-lang.org index.cra-tes.io static.cra-tes.io
"""
HOSTS = [host.replace("-", "") for host in _PARTS.split()]
NAME = re.compile(r"[a-z0-9_]+\Z")
UNITLESS = {"timeout", "deadline", "delay", "duration", "interval", "memory", "ttl", "max_size", "elapsed"}


def texts() -> list[Path]:
    """Every tracked file that is text, generated ones too."""
    binary = {".ttf", ".png", ".ico", ".woff", ".woff2"}
    return [path for path in files() if not (ROOT / path).is_symlink() and path.suffix not in binary]


def test_nothing_is_left_unfinished() -> None:
    assert {str(path): found[0] for path in written() if (found := UNFINISHED.search(read(path)))} == {}


def test_no_file_names_a_package_registry() -> None:
    """Installing works with whichever registry pip, npm and apt are set to."""
    for path in texts():
        content = (ROOT / path).read_bytes().lower()
        assert [host for host in HOSTS if host.encode() in content] == [], path


def test_no_file_names_a_place_of_the_machine_it_was_written_on() -> None:
    for path in texts():
        if not is_generated(path):
            found = re.search(rb"(?<![\w.])/(work|farm|tmp/venv)/", (ROOT / path).read_bytes())
            assert found is None, f"{path}: {found}"


def test_files_and_folders_have_plain_names() -> None:
    for path in written():
        if path.suffix == ".py" and path.parts[0] != "web":
            assert all(NAME.match(part) for part in path.with_suffix("").parts), path


def parameters(tree: ast.Module) -> Iterator[tuple[ast.arg, int]]:
    """Each parameter and annotated field that holds a bare number, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for parameter in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                yield parameter, parameter.lineno
        elif isinstance(node, ast.ClassDef):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    yield ast.arg(field.target.id, field.annotation), field.lineno


@pytest.mark.parametrize("path", [path for path in product() if path.parts[0] != "schema" and path.name != "cli.py"], ids=str)
def test_a_number_has_its_unit_in_its_name(path: Path) -> None:
    """The schema's and the command line's names are a user's, and say their unit in their help."""
    for parameter, line in parameters(parse(path)):
        if parameter.arg in UNITLESS and parameter.annotation is not None:
            kinds = {node.id for node in ast.walk(parameter.annotation) if isinstance(node, ast.Name)}
            assert not kinds & {"int", "float"}, f"{path}:{line}: {parameter.arg} has no unit"


@pytest.mark.parametrize("path", product(), ids=str)
def test_public_things_say_what_they_are(path: Path) -> None:
    tree = parse(path)
    assert ast.get_docstring(tree), f"{path}: the first line says what the file is about"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path}:{node.lineno}: {node.name} has no docstring"
