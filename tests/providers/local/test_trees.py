"""Walking and removing trees that a hostile program made."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sandql.providers.local.trees import TreeMovedError, walk
from sandql.providers.local.workspace import remove_tree
from tests.support.workspaces import exchange, make_deep, meanwhile, open_workspace

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]

_LEVELS = 10_000


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A folder that is to be removed, and a file outside that is to stay; in memory where it can be, since disks are slow at this."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as name:
        folder = Path(name)
        (folder / "outside").mkdir()
        (folder / "outside" / "kept").write_bytes(b"kept")
        tree = folder / "tree"
        tree.mkdir()
        yield tree


def _remove(path: Path) -> None:
    fd = os.open(path.parent, os.O_RDONLY)
    try:
        remove_tree(fd, path.name)
    finally:
        os.close(fd)


def _assert_only_outside(tree: Path) -> None:
    assert os.listdir(tree.parent) == ["outside"]
    assert (tree.parent / "outside" / "kept").read_bytes() == b"kept"


def test_a_tree_deeper_than_any_path_is_counted_and_removed_with_few_descriptors(tree: Path) -> None:
    make_deep(tree, _LEVELS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd"))) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 8, hard))
    try:
        assert open_workspace(tree).usage()[1] == _LEVELS
        _remove(tree)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    _assert_only_outside(tree)


def test_everything_that_can_be_in_a_tree_is_removed_and_nothing_that_links_lead_to(tree: Path) -> None:
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").write_bytes(b"x")
    os.mkfifo(tree / "a" / "b" / "pipe")
    (tree / "link").symlink_to("../outside")
    (tree / "a" / "up").symlink_to("../../outside/kept")
    os.link(tree.parent / "outside" / "kept", tree / "hard")
    os.mkdir(os.fsencode(tree) + b"/\xff\n")
    _remove(tree)
    _assert_only_outside(tree)


def test_folders_without_permissions_are_removed(tree: Path) -> None:
    (tree / "shut" / "in" / "deep").mkdir(parents=True)
    (tree / "shut" / "in" / "deep" / "file").write_bytes(b"x")
    for path, mode in (("shut/in/deep", 0o000), ("shut/in", 0o500), ("shut", 0o000), ("", 0o400)):
        (tree / path).chmod(mode)
    _remove(tree)
    _assert_only_outside(tree)


def test_a_wide_tree_is_removed(tree: Path) -> None:
    for number in range(3000):
        (tree / f"d{number}").mkdir()
        (tree / f"f{number}").touch()
    _remove(tree)
    _assert_only_outside(tree)


@pytest.mark.parametrize("kind", ["missing", "file", "link", "fifo"])
def test_a_name_that_is_no_folder_is_removed_itself(kind: str, tree: Path) -> None:
    tree.rmdir()
    if kind == "file":
        tree.touch()
    elif kind == "link":
        tree.symlink_to("outside")
    elif kind == "fifo":
        os.mkfifo(tree)
    _remove(tree)
    _assert_only_outside(tree)


def test_a_tree_whose_folders_turn_into_links_takes_nothing_outside_with_it(tree: Path) -> None:
    for number in range(40):
        make_deep(tree, 20, f"d{number}")
    evil = tree.parent / "evil"
    evil.symlink_to("outside")
    turn = iter(range(10_000_000))

    def swap() -> None:
        try:
            exchange(tree / f"d{next(turn) % 40}", evil)
        except FileNotFoundError:  # it is removed already
            pass

    with meanwhile(swap):
        _remove(tree)
    assert (tree.parent / "outside" / "kept").read_bytes() == b"kept"
    _remove(evil)
    _assert_only_outside(tree)


def test_a_folder_that_is_moved_away_ends_the_walk(tree: Path) -> None:
    (tree / "a" / "b").mkdir(parents=True)
    visited: list[list[str]] = []

    def visit(fd: int, names: list[str]) -> list[str]:
        visited.append(list(names))
        if names == ["a", "b"]:
            (tree / "a" / "b").rename(tree.parent / "outside" / "b")
        return os.listdir(fd)

    fd = os.open(tree, os.O_RDONLY)
    try:
        with pytest.raises(TreeMovedError):
            walk(fd, visit)
    finally:
        os.close(fd)
    assert visited == [[], ["a"], ["a", "b"]]


def test_a_removal_goes_on_after_a_folder_was_moved(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "a" / "b" / "c").mkdir(parents=True)
    (tree / "a" / "b" / "c" / "file").touch()
    rmdir = os.rmdir
    moved: list[str] = []

    def moving(name: str, *, dir_fd: int) -> None:
        if name == "c" and not (tree / "a" / "b" / "c" / "file").exists() and not moved:
            moved.append(name)
            (tree / "a" / "b").rename(tree / "b")
        rmdir(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", moving)
    _remove(tree)
    assert moved == ["c"]
    _assert_only_outside(tree)


def test_a_removal_that_never_ends_is_given_up(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "a").mkdir()
    (tree / "a" / "file").touch()
    unlink = os.unlink

    def refilling(name: str, *, dir_fd: int) -> None:
        unlink(name, dir_fd=dir_fd)
        os.close(os.open(f"{name}x"[-20:], os.O_CREAT | os.O_WRONLY, dir_fd=dir_fd))

    monkeypatch.setattr(os, "unlink", refilling)
    with pytest.raises(OSError, match="files are made in it faster than they can be removed"):
        _remove(tree)


def test_a_mode_that_was_lifted_for_a_walk_is_given_back(tree: Path) -> None:
    (tree / "shut" / "in").mkdir(parents=True)
    (tree / "shut").chmod(0o111)
    names: list[str] = []

    def visit(fd: int, path: list[str]) -> list[str]:
        names.extend(os.listdir(fd))
        return os.listdir(fd)

    fd = os.open(tree, os.O_PATH)
    try:
        walk(fd, visit)
    finally:
        os.close(fd)
    assert names == ["shut", "in"]
    assert stat.S_IMODE((tree / "shut").stat().st_mode) == 0o111
