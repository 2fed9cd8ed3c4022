"""What a watcher is told, applied one by one, is what there is: against a file system that others change as fast as they can."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from sandql.core.errors import NotFound, ResourceError, SandqlError
from sandql.core.files import ChangeKind, FileChange, FileChanges
from sandql.core.values import FileType
from sandql.providers.local.unpacking import merge
from sandql.providers.local.watching import Watching
from tests.support.engine import open_descriptors, until
from tests.support.workspaces import QUOTA, exchange, make_root, open_workspace

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace's directory, with a secret beside it."""
    return make_root(tmp_path)


@pytest.fixture
async def watching() -> AsyncGenerator[Watching]:
    """The watches of a provider, few folders each."""
    made = Watching(200)
    yield made
    made.close()


class Replica:
    """What a client has that lists once, applies what it is told, and lists anew after an overflow."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths: dict[str, bool] = {}
        self.told: list[FileChange] = []
        self.lists = 0
        self.is_ready = asyncio.Event()

    async def follow(self, watching: Watching, path: str = "", *, recursive: bool = True) -> None:
        async with aclosing(watching.changes(open_workspace(self.root), path, recursive)) as batches:
            async for batch in batches:
                self.apply(batch)

    def apply(self, batch: FileChanges) -> None:
        if batch.overflow or not self.is_ready.is_set():
            self.is_ready.set()
            self.lists += 1
            self.paths = actual(self.root)
            return
        self.told += batch.changes
        for change in batch.changes:
            if change.kind in (ChangeKind.REMOVED, ChangeKind.MOVED):
                gone = change.path if change.kind is ChangeKind.REMOVED else change.previous_path
                assert gone is not None
                below = {path[len(gone) :]: kind for path, kind in self.paths.items() if path.startswith(gone + "/")}
                self._forget(gone)
                if change.kind is ChangeKind.MOVED:
                    self._forget(change.path)
                    self.paths |= {change.path + rest: kind for rest, kind in below.items()}
            if change.kind is not ChangeKind.REMOVED:
                self.paths[change.path] = change.type is FileType.DIRECTORY

    def _forget(self, gone: str) -> None:
        self.paths = {path: kind for path, kind in self.paths.items() if path != gone and not path.startswith(gone + "/")}


def most_queued() -> int:
    """How much the kernel keeps for one who does not listen."""
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


def facts_of(descriptor: int) -> str:
    """What the kernel says of a descriptor."""
    return Path(f"/proc/self/fdinfo/{descriptor}").read_text()


def actual(root: Path) -> dict[str, bool]:
    """Each path below, and whether it is a folder."""
    return {
        os.path.relpath(os.path.join(folder, name), root): name in folders for folder, folders, files in os.walk(root) for name in (*folders, *files)
    }


def disturb(root: Path, chance: random.Random) -> None:
    """Do one thing to what is below, whatever comes of it."""
    there = sorted(path for path in actual(root))
    some = chance.choice(["a", "b", "c"])
    at = chance.choice(["", *there])
    target = root / at / some
    with suppress(OSError, SandqlError):
        match chance.randrange(8):
            case 0 | 1:
                target.mkdir()
            case 2:
                target.write_bytes(b"x")
            case 3 if there:
                os.rename(root / chance.choice(there), target)
            case 4 if there:
                (root / chance.choice(there)).unlink()
            case 5 if there:
                shutil.rmtree(root / chance.choice(there))
            case 6:
                open_workspace(root).write(os.path.relpath(target, root), b"y", *QUOTA)
            case _:
                target.mkdir()
                (target / "a").mkdir()
                (target / "a" / "f").write_bytes(b"z")


@pytest.mark.parametrize("seed", range(12))
async def test_whoever_applies_what_is_told_has_what_there_is(root: Path, watching: Watching, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(seed):
        disturb(root, chance)
    replica = Replica(root)
    task = asyncio.ensure_future(replica.follow(watching))
    await replica.is_ready.wait()
    for number in range(300):
        await asyncio.to_thread(disturb, root, chance)
        if number % (seed + 1) == 0:
            await asyncio.sleep(0.01 * chance.random())
    assert await until(lambda: replica.paths == actual(root)), (replica.told[-20:], set(replica.paths.items()) ^ set(actual(root).items()))
    (root / "last").write_bytes(b"")
    assert await until(lambda: "last" in replica.paths), "it is still watched"
    task.cancel()


async def test_a_folder_that_is_swapped_for_a_link_is_not_left(root: Path, watching: Watching) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    replica = Replica(root)
    task = asyncio.ensure_future(replica.follow(watching))
    await replica.is_ready.wait()
    for number in range(100):
        (root / "d").mkdir()
        (root / "d").rename(root / f"moved{number}")
        (root / "d").symlink_to(outside)
        (outside / f"secret{number}").write_bytes(b"")
        await asyncio.sleep(0.001)
        (root / "d").unlink()
    (root / "last").write_bytes(b"")
    assert await until(lambda: "last" in replica.paths)
    assert not [change for change in replica.told if "secret" in change.path]
    task.cancel()


async def test_types_are_told_and_links_are_links(root: Path, watching: Watching) -> None:
    replica = Replica(root)
    task = asyncio.ensure_future(replica.follow(watching))
    await replica.is_ready.wait()
    (root / "link").symlink_to("../secret")
    os.mkfifo(root / "fifo")
    (root / "folder").mkdir()
    (root / "file").write_bytes(b"")
    assert await until(lambda: {"link", "fifo", "folder", "file"} <= set(replica.paths))
    assert {(change.path, change.type) for change in replica.told} == {
        ("link", FileType.SYMLINK),
        ("fifo", FileType.OTHER),
        ("folder", FileType.DIRECTORY),
        ("file", FileType.FILE),
    }
    task.cancel()


async def test_a_move_and_a_write_after_it_are_both_told(root: Path, watching: Watching) -> None:
    (root / "a").write_bytes(b"1")
    replica = Replica(root)
    task = asyncio.ensure_future(replica.follow(watching))
    await replica.is_ready.wait()
    (root / "a").rename(root / "b")
    (root / "b").write_bytes(b"2")
    assert await until(lambda: len(replica.told) > 1)
    assert [(change.kind, change.path, change.previous_path) for change in replica.told] == [
        (ChangeKind.MOVED, "b", "a"),
        (ChangeKind.MODIFIED, "b", None),
    ]
    task.cancel()


async def test_writes_to_one_path_in_two_folders_are_both_told(root: Path, watching: Watching) -> None:
    for folder in ("e", "d"):
        (root / folder).mkdir()
        (root / folder / "f").write_bytes(b"1")
    replica = Replica(root)
    task = asyncio.ensure_future(replica.follow(watching))
    await replica.is_ready.wait()
    (root / "e" / "f").write_bytes(b"2")
    (root / "e").rename(root / "g")
    (root / "d").rename(root / "e")
    (root / "e" / "f").write_bytes(b"3")
    (root / "last").mkdir()
    assert await until(lambda: "last" in replica.paths)
    assert [(change.kind, change.path) for change in replica.told] == [
        (ChangeKind.MODIFIED, "e/f"),
        (ChangeKind.MOVED, "g"),
        (ChangeKind.MOVED, "e"),
        (ChangeKind.MODIFIED, "e/f"),
        (ChangeKind.CREATED, "last"),
    ]
    task.cancel()


def give_path_away(root: Path, how: str) -> None:
    """Have another folder at a/b/d, and write into both."""
    match how:
        case "removed":
            (root / "a" / "b" / "d").rmdir()
        case "moved":
            (root / "a" / "b" / "d").rename(root / "elsewhere")
        case "one above removed":
            shutil.rmtree(root / "a")
        case "one above moved":
            (root / "a").rename(root / "elsewhere")
        case "replaced":
            (root / "new").mkdir()
            (root / "new").rename(root / "a" / "b" / "d")
        case _:
            (root / "new" / "d").mkdir(parents=True)
            exchange(root / "a" / "b", root / "new")
    (root / "a" / "b" / "d").mkdir(parents=True, exist_ok=True)
    (root / "a" / "b" / "d" / "f").write_bytes(b"")
    for moved in (root / "elsewhere", root / "elsewhere" / "b" / "d", root / "new" / "d"):
        if moved.is_dir():
            (moved / "f").write_bytes(b"")


@pytest.mark.parametrize("how", ["removed", "moved", "one above removed", "one above moved", "replaced", "exchanged"])
@pytest.mark.parametrize("held", [False, True], ids=["free", "held"])
async def test_it_ends_when_another_folder_has_the_path(root: Path, watching: Watching, how: str, held: bool) -> None:
    (root / "a" / "b" / "d").mkdir(parents=True)
    replica = Replica(root)
    task = asyncio.ensure_future(replica.follow(watching, "a/b/d"))
    await replica.is_ready.wait()
    fd = os.open(root / "a" / "b" / "d", os.O_RDONLY) if held else -1  # as by a program that stands in it
    give_path_away(root, how)
    await asyncio.wait_for(task, 10)
    assert replica.told == [], "nothing of a folder that is not meant"
    if held:
        os.close(fd)


async def test_who_watches_a_folder_takes_nothing_from_who_watches_one_above(root: Path, watching: Watching) -> None:
    (root / "a" / "d").mkdir(parents=True)
    above, below = Replica(root), Replica(root)
    tasks = [asyncio.ensure_future(above.follow(watching))]
    await above.is_ready.wait()
    tasks.append(asyncio.ensure_future(below.follow(watching, "a/d")))
    await below.is_ready.wait()
    (root / "a" / "new").write_bytes(b"")
    assert await until(lambda: "a/new" in above.paths)
    (root / "a" / "d").rename(root / "moved")
    await asyncio.wait_for(tasks[1], 10)
    (root / "a" / "last").write_bytes(b"")
    assert await until(lambda: above.paths == actual(root))
    assert below.told == []
    tasks[0].cancel()


async def test_an_archive_onto_an_empty_folder_is_told_to_who_watches_it(root: Path, watching: Watching) -> None:
    (root / "a" / "d").mkdir(parents=True)
    brought = root.parent / "brought"
    (brought / "a" / "d" / "e").mkdir(parents=True)
    (brought / "a" / "d" / "f").write_bytes(b"")
    replica = Replica(root)
    task = asyncio.ensure_future(replica.follow(watching, "a/d"))
    await replica.is_ready.wait()
    source_fd, target_fd = os.open(brought, os.O_RDONLY), os.open(root, os.O_RDONLY)
    try:
        merge(source_fd, target_fd, "")
    finally:
        os.close(source_fd)
        os.close(target_fd)
    assert await until(lambda: len(replica.told) > 1)
    assert {(change.kind, change.path) for change in replica.told} == {(ChangeKind.CREATED, "a/d/e"), (ChangeKind.CREATED, "a/d/f")}
    (root / "a" / "d" / "last").write_bytes(b"")
    assert await until(lambda: "a/d/last" in replica.paths), "it is the folder that it was"
    task.cancel()


async def test_it_goes_on_when_the_path_leads_to_it_again(root: Path, watching: Watching) -> None:
    (root / "a" / "d").mkdir(parents=True)
    replica = Replica(root)
    task = asyncio.ensure_future(replica.follow(watching, "a/d"))
    await replica.is_ready.wait()
    (root / "a").rename(root / "b")
    (root / "b").rename(root / "a")
    (root / "a" / "d2").mkdir()
    (root / "a" / "d2").rmdir()
    (root / "a" / "d" / "f").write_bytes(b"")
    assert await until(lambda: replica.told)
    assert [(change.kind, change.path) for change in replica.told] == [(ChangeKind.CREATED, "a/d/f")]
    task.cancel()


async def test_the_kernels_overflow_is_said_and_all_is_watched_anew(root: Path, watching: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = Replica(root)
    task = asyncio.ensure_future(replica.follow(watching))
    await replica.is_ready.wait()
    most = most_queued()
    (root / "new").mkdir()
    for number in range(most // 2 + 100):  # without a turn of the loop, so that nobody takes what is told
        (root / f"f{number % 1000}").write_bytes(b"")
        (root / f"f{number % 1000}").unlink()
    (root / "new" / "d").mkdir()
    assert await until(lambda: replica.lists > 1), "an overflow is said"
    assert await until(lambda: replica.paths == actual(root))
    (root / "new" / "d" / "f").write_bytes(b"")
    assert await until(lambda: "new/d/f" in replica.paths), "folders that came meanwhile are watched"
    task.cancel()


async def test_more_folders_than_may_be_watched(root: Path, watching: Watching) -> None:
    for number in range(200):
        (root / f"d{number}").mkdir()
    with pytest.raises(ResourceError, match="at most 200 folders"):
        await anext(watching.changes(open_workspace(root), "", True))
    (root / "d0").rmdir()
    replica = Replica(root)
    task = asyncio.ensure_future(replica.follow(watching))
    await replica.is_ready.wait()
    (root / "more" / "and more").mkdir(parents=True)
    assert await until(lambda: replica.lists > 1), "that it sees no more is said"
    task.cancel()
    with pytest.raises(NotFound):
        await anext(watching.changes(open_workspace(root), "none", True))


async def test_who_watches_no_more_leaves_nothing(root: Path) -> None:
    for number in range(50):
        (root / f"d{number}").mkdir()
    before = open_descriptors()
    watching = Watching(1000)
    for _ in range(20):
        async with aclosing(watching.changes(open_workspace(root), "", True)) as changes:
            await anext(changes)
    one = [what for what in open_descriptors().values() if "inotify" in what]
    assert len(one) == 1 + sum("inotify" in what for what in before.values())
    inotify = next(number for number, what in open_descriptors().items() if "inotify" in what and number not in before)
    assert "inotify wd" not in facts_of(inotify)
    watching.close()
    assert not set(open_descriptors().items()) - set(before.items())
