"""Archives for clients that take them slowly, or not at all."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from sandql.core.errors import Conflict, RateLimited, ResourceError
from sandql.core.values import MiB
from sandql.providers.local.packing import packed
from tests.support.engine import open_descriptors, until

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose archive is more than any pipe holds."""
    (tmp_path / "f").write_bytes(os.urandom(4 * MiB))
    return tmp_path


def archive(folder: Path, home: str = "home") -> AsyncGenerator[bytes]:
    return packed(os.open(folder, os.O_PATH | os.O_DIRECTORY), "", 8 * MiB, home)


def _held(folder: Path) -> list[int]:
    return [number for number, what in open_descriptors().items() if what == str(folder)]


async def test_a_client_that_takes_nothing_keeps_nobody_busy(folder: Path) -> None:
    before = open_descriptors()
    pieces = archive(folder)
    await anext(pieces)
    mine = {number: what for number, what in open_descriptors().items() if number not in before and what.startswith("pipe:")}
    watched = [number for number in mine if asyncio.get_running_loop().remove_reader(number)]
    assert not watched, "the loop would turn for as long as something can be read"
    assert sum([len(piece) async for piece in pieces]) > 3 * MiB, "the rest comes"
    assert await until(lambda: not _held(folder))


async def test_a_file_that_is_cut_while_it_is_packed_is_not_filled_up(folder: Path) -> None:
    pieces = archive(folder)
    await anext(pieces)
    os.truncate(folder / "f", 3)
    with pytest.raises(Conflict, match="cut a file"):
        async for _ in pieces:
            pass


async def test_a_file_that_grows_while_it_is_packed_has_what_it_had(folder: Path) -> None:
    content = (folder / "f").read_bytes()
    pieces = archive(folder)
    taken = [await anext(pieces)]
    os.truncate(folder / "f", 5 * MiB)
    taken += [piece async for piece in pieces]
    with tarfile.open(fileobj=io.BytesIO(b"".join(taken))) as made:
        packed_file = made.extractfile("f")
        assert packed_file is not None
        assert packed_file.read() == content


async def test_one_sandbox_does_not_take_all_places(folder: Path) -> None:
    stalled = [archive(folder, "one") for _ in range(4)]
    for pieces in stalled:
        await anext(pieces)
    before = _held(folder)
    with pytest.raises(RateLimited, match="at most 4 of one sandbox"):
        await anext(archive(folder, "one"))
    assert _held(folder) == before
    other = archive(folder, "other")
    assert sum([len(piece) async for piece in other]) > 4 * MiB
    for pieces in stalled:
        await pieces.aclose()
    assert await until(lambda: "sandql-pack" not in [thread.name for thread in threading.enumerate()])
    freed = archive(folder, "one")
    assert sum([len(piece) async for piece in freed]) > 4 * MiB


async def test_a_host_without_threads_keeps_no_place_and_no_descriptor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = len(open_descriptors())
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(20):
            with pytest.raises(ResourceError, match="no more threads"):
                await anext(archive(folder))
    assert not _held(folder)
    assert len(open_descriptors()) < before + 20, "of pipes other tests may have some more"
    assert sum([len(piece) async for piece in archive(folder)]) > 4 * MiB
