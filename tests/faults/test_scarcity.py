"""A full disk and no descriptors: a coded error, nothing half done, and all is well when there is room again."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from sandql.core.errors import ResourceError
from sandql.core.values import MiB, Outcome
from sandql.providers.base import Provider
from tests.support.engine import HANG_S, cells_of, open_descriptors, open_provider, run, settled, supervisor_of, until, zygotes_of

pytestmark = pytest.mark.unprivileged

_needs_mount = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


def _call(*argv: str) -> bool:
    return subprocess.run(argv).returncode == 0


@asynccontextmanager
async def _small_disk(size: str, inodes: int = 0) -> AsyncGenerator[Path]:
    with tempfile.TemporaryDirectory(prefix="sandql-disk-", dir="/var/tmp") as folder:
        options = f"size={size},mode=0755" + (f",nr_inodes={inodes}" if inodes else "")
        assert _call("mount", "-t", "tmpfs", "-o", options, "sandql-test", folder)
        try:
            yield Path(folder)
        finally:
            # the kernel lets go of a dead cell's mounts some time after its end
            assert await until(lambda: _call("umount", folder)), "something keeps the disk open"


async def _names(provider: Provider, owner: str) -> list[tuple[str, int]]:
    async with provider.home(owner) as sandbox:
        return [(entry.path, entry.size) for entry in await sandbox.files.list("", recursive=True)]


async def _make_homes(provider: Provider, count: int) -> None:
    for number in range(count):
        async with provider.home(f"owner {number}"):
            pass


@_needs_mount
async def test_a_full_disk_is_said_and_nothing_is_half_written() -> None:
    async with _small_disk("3m") as disk, open_provider(state_dir=disk, pool_size=1, node_pool_size=0, program_pool_size=0) as provider:
        async with provider.home("alice") as sandbox:
            await sandbox.files.write("kept.txt", b"old")
            for path in ("new.bin", "kept.txt", "folder/new.bin"):
                with pytest.raises(ResourceError, match="disk is full"):
                    await sandbox.files.write(path, bytes(4 * MiB))
            assert await sandbox.files.read("kept.txt", max_bytes=10) == b"old"
        assert [(path, size) for path, size in await _names(provider, "alice") if path != "folder"] == [("kept.txt", 3)]
        filling = "try:\n    open('fill', 'wb').write(bytes(4 << 20))\nexcept OSError as error:\n    print(error.strerror)"
        assert (await run(provider, filling, home="alice")).stdout == b"No space left on device\n"
        assert (await run(provider, "print(1)")).stdout == b"1\n", "a run that needs no disk got none"
        await run(provider, "import os\nos.unlink('fill')", home="alice")
        async with provider.home("alice") as sandbox:
            await sandbox.files.write("new.bin", bytes(MiB))
            assert len(await sandbox.files.read("new.bin", max_bytes=MiB)) == MiB


@_needs_mount
async def test_a_disk_without_inodes_makes_no_home_and_says_so() -> None:
    async with (
        _small_disk("3m", inodes=24) as disk,
        open_provider(state_dir=disk, pool_size=1, node_pool_size=0, program_pool_size=0) as provider,
    ):
        with pytest.raises(ResourceError, match="disk is full"):
            await _make_homes(provider, 30)
        assert (await run(provider, "print(1)")).stdout == b"1\n"
        async with provider.home("owner 0") as sandbox:
            assert await sandbox.files.list("") == []


async def test_a_file_over_the_servers_own_limit_is_a_resource_error() -> None:
    """As a disk that fills up while a file is written, for who may not mount one."""
    async with open_provider(pool_size=1, node_pool_size=0, program_pool_size=0) as provider:
        async with provider.home("alice") as sandbox:
            await sandbox.files.write("kept.txt", b"old")
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (MiB, hard))
            try:
                for path in ("new.bin", "kept.txt"):
                    with pytest.raises(ResourceError):
                        await sandbox.files.write(path, bytes(2 * MiB))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert await sandbox.files.read("kept.txt", max_bytes=10) == b"old"
        assert await _names(provider, "alice") == [("kept.txt", 3)]


@contextmanager
def _no_descriptors() -> Generator[None]:
    """While it is open, this process can open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(open_descriptors()) + 20, hard))
    try:
        while True:
            try:
                taken.append(os.dup(0))
            except OSError:
                break
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_descriptors_there_is_a_coded_error_and_then_all_is_well() -> None:
    async with open_provider(pool_size=3, node_pool_size=0, program_pool_size=0) as provider:
        async with provider.home("alice") as sandbox:
            await sandbox.files.write("kept.txt", b"old")
            assert await until(lambda: sum(len(cells_of(zygote)) for zygote in zygotes_of(supervisor_of())) == 3)  # the pool is filled
            before = await settled(lambda: len(open_descriptors()))
            with _no_descriptors():
                for act in (sandbox.files.list(""), sandbox.files.read("kept.txt", max_bytes=10), sandbox.files.write("new.txt", b"new")):
                    with pytest.raises(ResourceError, match="descriptor"):
                        await act
                runs = [asyncio.ensure_future(run(provider, "open('a', 'w').write('1')\nprint(1)", artifacts=("a",))) for _ in range(3)]
                done, _ = await asyncio.wait(runs, timeout=HANG_S, return_when=asyncio.FIRST_COMPLETED)
                assert all(isinstance(task.exception(), ResourceError) or task.result().success for task in done)
            assert await sandbox.files.read("kept.txt", max_bytes=10) == b"old"
            assert [entry.path for entry in await sandbox.files.list("")] == ["kept.txt"]
            await asyncio.wait(runs, timeout=HANG_S)
            for task in runs:
                assert isinstance(task.exception(), ResourceError) or task.result().outcome is Outcome.COMPLETED
        again = await asyncio.gather(*(run(provider, "print(1)") for _ in range(8)))
        assert [one.stdout for one in again] == [b"1\n"] * 8
        assert await until(lambda: len(open_descriptors()) <= before), (before, open_descriptors())


async def test_cells_that_come_while_there_is_no_descriptor_are_not_lost_for_the_pool() -> None:
    async with open_provider(pool_size=2, node_pool_size=0, program_pool_size=0) as provider:
        for _ in range(3):
            with _no_descriptors():
                # What is parked is used up; what is to stand in for it cannot be received.
                running = [asyncio.ensure_future(run(provider, "print(1)")) for _ in range(4)]
                await asyncio.wait(running, timeout=0.3)
            ended = await asyncio.gather(*running, return_exceptions=True)
            assert all(isinstance(one, ResourceError) or (not isinstance(one, BaseException) and one.success) for one in ended), ended
        assert [one.stdout for one in await asyncio.gather(*(run(provider, "print(1)") for _ in range(6)))] == [b"1\n"] * 6
