"""Bringing files out of a workspace by path and glob, whatever is in it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandql.core.errors import BadRequest, PayloadTooLarge, ResourceError
from sandql.core.values import MiB
from sandql.providers.local import artifacts
from sandql.providers.local.globs import Globs, is_glob
from sandql.providers.local.workspace import Workspace, remove_tree
from tests.support.workspaces import make_deep, make_root, open_workspace

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]

_BOUNDS = (100, MiB)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield make_root(tmp_path)
    fd = os.open(tmp_path, os.O_RDONLY)  # what is very deep here, pytest cannot remove
    remove_tree(fd, "workspace")
    os.close(fd)


@pytest.fixture
def workspace(root: Path) -> Workspace:
    for path in ("a.txt", "b.csv", "out/1.png", "out/2.png", "out/deep/3.png", "out/.hidden.png", ".cache/x.png", "data[1].txt"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return open_workspace(root)


@pytest.mark.parametrize(
    ("patterns", "paths"),
    [
        (("a.txt",), ["a.txt"]),
        (("./out//1.png",), ["out/1.png"]),
        (("nothing", "out/nothing", "a.txt/x"), []),
        (("out",), []),
        (("*",), ["a.txt", "b.csv", "data[1].txt"]),
        (("?.txt", "a.*", "a.txt"), ["a.txt"]),
        (("out/*",), ["out/1.png", "out/2.png"]),
        (("out/.*",), ["out/.hidden.png"]),
        (("*/*.png",), ["out/1.png", "out/2.png"]),
        (("**/*.png",), ["out/1.png", "out/2.png", "out/deep/3.png"]),
        (("out/**",), ["out/1.png", "out/2.png", "out/deep/3.png"]),
        (("**",), ["a.txt", "b.csv", "data[1].txt", "out/1.png", "out/2.png", "out/deep/3.png"]),
        (("**/**/deep/**/*",), ["out/deep/3.png"]),
        ((".cache/*",), [".cache/x.png"]),
        (("data[1].*", "data[1].txt"), ["data[1].txt"]),
        (("[ab].*",), []),
        ((), []),
    ],
)
def test_patterns_name_files(patterns: tuple[str, ...], paths: list[str], workspace: Workspace) -> None:
    found = workspace.collect(patterns, *_BOUNDS)
    assert [file.path for file in found] == paths
    assert [file.content.decode() for file in found] == paths


@pytest.mark.parametrize("pattern", ["*", "**", "x"])
def test_only_regular_files_are_brought_out(pattern: str, root: Path) -> None:
    for target in ("../secret", "/etc/passwd", "/proc/self/environ", "/dev/zero"):
        (root / "x").symlink_to(target)
        assert open_workspace(root).collect((pattern,), *_BOUNDS) == []
        (root / "x").unlink()
    os.mkfifo(root / "x")
    assert open_workspace(root).collect((pattern,), *_BOUNDS) == []
    (root / "x").unlink()
    (root / "x").symlink_to("..")
    assert open_workspace(root).collect((f"{pattern}/secret", "x/secret"), *_BOUNDS) == []


def test_the_number_and_the_bytes_are_bounded(workspace: Workspace) -> None:
    assert len(workspace.collect(("out/*.png",), 2, 18)) == 2
    with pytest.raises(PayloadTooLarge, match=r"artifacts: at most 1 files"):
        workspace.collect(("out/*.png",), 1, 100)
    with pytest.raises(PayloadTooLarge, match=r"artifacts: at most 17 bytes in all, 'out/..png' goes beyond"):
        workspace.collect(("out/*.png",), 2, 17)


def test_holes_and_many_names_of_one_file_count_as_what_they_would_bring(root: Path) -> None:
    with open(root / "sparse", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(PayloadTooLarge, match="'sparse' goes beyond"):
        open_workspace(root).collect(("sparse",), *_BOUNDS)
    (root / "sparse").write_bytes(b"x" * 1000)
    for number in range(50):
        os.link(root / "sparse", root / f"link{number}")
    with pytest.raises(PayloadTooLarge, match="bytes in all"):
        open_workspace(root).collect(("*",), 100, 10_000)


def test_a_tree_without_end_is_looked_through_as_far_as_a_path_goes(root: Path) -> None:
    make_deep(root, 3000, "dd")
    assert open_workspace(root).collect(("**/x", "dd/**/dd/*"), *_BOUNDS) == []


def test_looking_takes_no_longer_than_its_bound(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 3))
    monkeypatch.setattr(artifacts, "time", type("Clock", (), {"monotonic": staticmethod(lambda: next(clock))}))
    with pytest.raises(ResourceError, match="took more than 5 s"):
        workspace.collect(("**",), *_BOUNDS)


def test_too_many_wild_folders_are_refused(workspace: Workspace) -> None:
    with pytest.raises(BadRequest, match=r"artifacts: at most 8 '\*\*', got 9"):
        workspace.collect(("**/a/" * 9,), *_BOUNDS)


def test_a_hostile_pattern_on_hostile_names_is_quick(root: Path) -> None:
    for number in range(200):
        (root / ("a" * 250 + str(number))).touch()
    began = time.process_time()
    assert open_workspace(root).collect(("*a" * 120 + "*b",) * 8, *_BOUNDS) == []
    assert time.process_time() - began < 2


_NAME = st.text(alphabet="ab.*?[", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
_PATH = st.lists(st.text(alphabet="ab.[", min_size=1, max_size=3), min_size=1, max_size=5)
_PATTERN = st.lists(_NAME.filter(lambda name: "**" not in name) | st.just("**"), min_size=1, max_size=4)


def _expected(pattern: list[str], path: list[str]) -> bool:
    """The same question, asked by trying everything."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path) and not any(name.startswith(".") for name in path)
        return any(_expected(pattern[1:], path[taken:]) for taken in range(len(path) + 1) if not any(name.startswith(".") for name in path[:taken]))
    if not path or (path[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    expression = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern[0])
    return bool(re.fullmatch(expression, path[0])) and _expected(pattern[1:], path[1:])


@given(pattern=_PATTERN, path=_PATH)
def test_globs_match_what_trying_everything_matches(pattern: list[str], path: list[str]) -> None:
    globs = Globs((tuple(pattern),))
    state = globs.start()
    for name in path[:-1]:
        state = globs.enter(state, name)
    assert globs.matches(state, path[-1]) == _expected(pattern, path)
    assert is_glob("/".join(pattern)) == any(letter in "*?" for part in pattern for letter in part)
