"""Programs in a home that move, swap and hide its files while the server works on them: nothing outside is reached, nothing hangs."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from sandql.core.errors import SandqlError
from sandql.core.values import Limits, MiB, RunRequest
from sandql.providers.base import Files, Provider
from sandql.providers.local.files import LocalFiles
from tests.support.engine import open_descriptors, open_provider, settled, until

pytestmark = pytest.mark.unprivileged

SECRET = b"secret of the host"
_TURN_S = 20.0  # what any one call may take at most, on a busy machine
_ROUNDS = 40

# Each goes on for ever; `out` is a folder of the host with a secret in it, by its path there and by many dots.
_SWAP = """
import ctypes, os
libc = ctypes.CDLL(None)
out = {out!r}
os.makedirs('real/sub/sub', exist_ok=True)
for name in ('f', 'sub/f', 'sub/sub/f'):
    open('real/' + name, 'w').write('mine')
for name, target in (('l1', out), ('l2', '../' * 20 + out.strip('/')), ('l3', '/proc/self/root' + out), ('l4', '..')):
    os.symlink(target, name)
print('up', flush=True)
while True:
    for name in ('l1', 'l2', 'l3', 'l4'):
        libc.renameat2(-100, b'real', -100, name.encode(), 2)
        libc.renameat2(-100, b'real', -100, name.encode(), 2)
"""
_MOVE = """
import os
out = {out!r}
os.makedirs('real/sub/sub', exist_ok=True)
open('real/f', 'w').write('mine')
open('real/sub/f', 'w').write('mine')
print('up', flush=True)
while True:
    for source, target in (('real/sub', 'up'), ('up', 'real/sub'), ('real', 'other'), ('other', 'real')):
        try:
            os.rename(source, target)
            os.symlink(out, source)
            os.unlink(source)
        except OSError:
            pass
"""
_REPLACE = """
import os, shutil
out = {out!r}
os.makedirs('real', exist_ok=True)
open('real/f', 'w').write('mine')
print('up', flush=True)
while True:
    for make in (lambda: os.symlink(out + '/secret', 'real/f'), lambda: os.mkfifo('real/f'), lambda: os.mkdir('real/f'),
                 lambda: os.link('real/g', 'real/f'), lambda: open('real/f', 'w').write('mine'), lambda: open('real/f', 'w').truncate(1 << 40)):
        try:
            shutil.rmtree('real/f') if os.path.isdir('real/f') else os.unlink('real/f')
        except OSError:
            pass
        try:
            open('real/g', 'w').close()
            make()
        except OSError:
            pass
"""


@pytest.fixture
def out(tmp_path: Path) -> Generator[Path]:
    """A folder of the host with a secret, which any program could read if it got there; it must be as it was."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "secret").write_bytes(SECRET)
    (folder / "f").write_bytes(SECRET)
    (folder / "sub").mkdir()
    (folder / "sub" / "f").write_bytes(SECRET)
    for path in (folder.parent, folder, folder / "sub"):
        path.chmod(0o777)
    before = _seen(folder)
    yield folder
    assert _seen(folder) == before, "the host was changed"


def _seen(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
async def provider() -> AsyncGenerator[Provider]:
    """A provider with homes of a modest size; no descriptor is left when it is closed."""
    before = await settled(lambda: len(open_descriptors()))  # other tests' providers may be filling their pools
    async with open_provider(pool_size=2, node_pool_size=0, program_pool_size=0, workspace_bytes=32 * MiB, workspace_inodes=2000) as opened:
        yield opened
    assert await until(lambda: len(open_descriptors()) <= before), (before, open_descriptors())


@asynccontextmanager
async def at_work(provider: Provider, program: str) -> AsyncGenerator[Files]:
    """The files of a home in which a program runs until the end of the context."""
    async with provider.home("attacker") as sandbox:
        request = RunRequest("python", program.encode(), limits=Limits(wall_ms=120_000))
        async with sandbox.start(request) as started, aclosing(started.events()) as events:
            async for event in events:
                if b"up" in getattr(event, "data", b""):
                    break
            yield sandbox.files


async def _tries(acting: Awaitable[object]) -> object:
    """What a call answers, None for a refusal; anything else that is raised is a defect."""
    try:
        return await asyncio.wait_for(acting, _TURN_S)
    except SandqlError:
        return None


async def _opened(files: Files, path: str) -> bytes:
    async with files.open(path) as reader:
        return await reader.read(0, 100)


async def _uploaded(files: Files, path: str) -> None:
    async with files.upload(path) as upload:
        await upload.write(b"mine")
        await upload.commit(lambda tag: True)


async def _packed(files: Files, path: str) -> bytes:
    async with aclosing(files.pack(path, max_bytes=8 * MiB)) as pieces:
        return b"".join([piece async for piece in pieces])


def _folder_of(files: Files) -> Path:
    """Where the files lie on the host."""
    assert isinstance(files, LocalFiles)
    return files._home.files  # pyright: ignore[reportPrivateUsage]  (the host's view of it is what is tested)


def _begins_of_files(top: Path) -> Iterator[tuple[str, bytes]]:
    """What each file begins with, by its path. A program may still be on its way out and move folders: no link is followed, not even in between."""
    for folder, _, names, folder_fd in os.fwalk(top, follow_symlinks=False):
        for name in names:
            with contextlib.suppress(OSError):
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder_fd)
                with open(fd, "rb") as file:
                    yield f"{folder}/{name}", file.read(100)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.parametrize("program", [_SWAP, _MOVE, _REPLACE], ids=["swap", "move", "replace"])
async def test_nothing_outside_is_read_or_written(provider: Provider, out: Path, program: str) -> None:
    async with at_work(provider, program.replace("{out!r}", repr(str(out)))) as files:
        await files.write("archived/f", b"mine")
        await files.write("archived/sub/f", b"mine")
        archive = await _packed(files, "archived")
        told: list[str] = []

        async def watch() -> None:
            while True:
                async with aclosing(files.changes("", recursive=True)) as changes:
                    async for batch in changes:
                        told.extend(change.path for change in batch.changes)

        watching = asyncio.ensure_future(watch())
        for number in range(_ROUNDS):
            read: list[object] = []
            for path in ("real/f", "real/sub/f", "l1/f", "l2/secret", "up/f", "real/secret", "real/sub/sub/f"):
                read.append(await _tries(files.read(path, max_bytes=100)))
                read.append(await _tries(_opened(files, path)))
                await _tries(files.stat(path))
            assert {bytes(found[:4]) for found in read if isinstance(found, bytes)} <= {b"mine", b"", bytes(4)}, read
            for folder in ("real", "real/sub", "l1", "l4", ""):
                await _tries(files.list(folder, recursive=True))
                await _tries(files.list(folder, glob="**/secret"))
                await _tries(files.write(f"{folder}/f".strip("/"), b"mine", append=number % 2 == 0))
                await _tries(_uploaded(files, f"{folder}/sub/f".strip("/")))
                await _tries(files.make_directory(f"{folder}/made/by/us".strip("/")))
                await _tries(files.unpack(folder, _once(archive)))
                await _tries(files.move(f"{folder}/made".strip("/"), f"real/sub/made{number}", overwrite=True))
                await _tries(files.remove(f"{folder}/sub".strip("/"), recursive=True))
            for folder in ("real", "l1", "l2/sub", "up"):
                packed = await _tries(_packed(files, folder))
                assert packed is None or isinstance(packed, bytes)
                await _tries(files.copy(folder, f"copy{number}", recursive=True))
                await _tries(files.copy(f"{folder}/f", "copied", overwrite=True))
                found = await _tries(files.read("copied", max_bytes=100))
                assert not isinstance(found, bytes) or found in (b"mine" * (len(found) // 4), bytes(len(found)))
            await _tries(files.remove(f"copy{number}", recursive=True))
        watching.cancel()
        assert not any("secret" in path for path in told)
    async with provider.home("attacker") as sandbox:
        assert not [path for path, begin in _begins_of_files(_folder_of(sandbox.files)) if SECRET in begin]


async def test_copies_and_archives_of_holes_are_bounded(provider: Provider) -> None:
    async with provider.home("holes") as sandbox:
        files = sandbox.files
        await files.make_directory("d")
        kept = _folder_of(files)
        for name, size in (("d/hole", 1 << 43), ("small", 20 * MiB)):  # a program could make none that is larger than its workspace
            (kept / name).touch()
            os.truncate(kept / name, size)
        for act in (
            lambda: files.copy("d", "e", recursive=True),
            lambda: files.copy("d/hole", "e"),
            lambda: _packed(files, "d"),
            lambda: files.write("d/hole", b"x", append=True),
            lambda: files.read("d/hole", max_bytes=MiB),
        ):
            with pytest.raises(SandqlError):
                await asyncio.wait_for(act(), _TURN_S)
        await files.copy("small", "other")
        with pytest.raises(SandqlError):
            await files.copy("small", "third")
        assert [entry.path for entry in await files.list("", recursive=True)] == ["d", "d/hole", "other", "small"]


_STRANGE = """
import fcntl, os, signal, socket
signal.signal(signal.SIGIO, signal.SIG_IGN)
os.makedirs(b'd/\\xff\\xfe')
open(b'd/\\xff\\xfe/\\xe2\\x98', 'w').write('x')
os.mkfifo('d/fifo')
socket.socket(socket.AF_UNIX).bind('d/socket')
open('d/none', 'w').write('x'); os.chmod('d/none', 0)
os.makedirs('d/shut/in'); os.chmod('d/shut', 0)
open('d/one', 'w').write('x')
for n in range(50): os.link('d/one', f'd/link{n}')
os.makedirs('deep'); os.chdir('deep')
for n in range(1000):
    os.mkdir('dd'); os.chdir('dd')
os.chdir('/workspace')
held = os.open('held', os.O_CREAT | os.O_RDWR); os.write(held, b'x')
reading = os.open('held', os.O_RDONLY); os.close(held)
fcntl.fcntl(reading, fcntl.F_SETLEASE, fcntl.F_RDLCK)
lease = os.open('locked', os.O_CREAT | os.O_RDWR)
fcntl.fcntl(lease, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('up', flush=True)
signal.pause()
while True: signal.pause()
"""


async def test_strange_files_hold_nothing_up(provider: Provider) -> None:
    async with at_work(provider, _STRANGE) as files:
        for path in ("d", "deep", "locked", "held", ""):
            for act in (
                lambda path=path: files.list(path, recursive=True),
                lambda path=path: files.read(path, max_bytes=MiB),
                lambda path=path: _packed(files, path),
                lambda path=path: files.copy(path, f"copy of {path}", recursive=True),
                lambda path=path: files.write(f"{path}/new".strip("/"), b"x"),
                lambda path=path: files.write(path, b"x", append=True),
                lambda path=path: files.move(path, f"moved {path}"),
                lambda path=path: files.move(f"moved {path}", path),
            ):
                await _tries(act())
        listed = {entry.path: entry for entry in await files.list("d", recursive=True)}
        assert {"d/\ufffd\ufffd", "d/\ufffd\ufffd/\ufffd", "d/fifo", "d/socket", "d/none", "d/shut/in", "d/link49"} <= set(listed)
        for path in ("copy of d", "copy of deep", "copy of ", "moved d", "moved deep"):
            await _tries(files.remove(path, recursive=True))
        for path in ("d", "deep", "locked", "held"):
            await asyncio.wait_for(files.remove(path, recursive=True), _TURN_S)
        assert not {"d", "deep", "locked", "held"} & {entry.path for entry in await files.list("")}


async def test_a_huge_folder_and_one_that_never_stops_growing(provider: Provider) -> None:
    grow = """
import os
os.makedirs('grow')
print('up', flush=True)
n = 0
while True:
    try:
        open(f'grow/{n}', 'w').close()
        os.unlink(f'grow/{n - 500}')
    except OSError: pass
    n += 1
"""
    async with at_work(provider, grow) as files:
        for number in range(10):
            await _tries(files.list("grow"))
            await _tries(files.list("grow", first=10, after=f"grow/{number}"))
            await _tries(files.copy("grow", f"copy{number}", recursive=True))
            await _tries(_packed(files, "grow"))
            await _tries(files.remove(f"copy{number}", recursive=True))
        await _tries(files.remove("grow", recursive=True))


async def test_what_was_cancelled_at_any_moment_leaves_no_descriptor(provider: Provider) -> None:
    async with provider.home("cancelled") as sandbox:
        files = sandbox.files
        await files.write("d/f", b"x" * MiB)
        archive = await _packed(files, "d")
        acts: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: _opened(files, "d/f"),
            lambda: _uploaded(files, "d/g"),
            lambda: _packed(files, "d"),
            lambda: files.unpack("e", _once(archive)),
            lambda: files.copy("d", "c", overwrite=True, recursive=True),
            lambda: files.list("", recursive=True),
        )
        for act in acts:
            await _tries(act())
        before = await settled(lambda: len(open_descriptors()))
        for number in range(200):
            acting = asyncio.ensure_future(_tries(acts[number % len(acts)]()))
            await asyncio.wait([acting], timeout=0.0002 * (number % 23))
            acting.cancel()
            await asyncio.wait([acting])
        assert await until(lambda: len(open_descriptors()) <= before), (before, open_descriptors())
        assert await until(lambda: os.listdir(_folder_of(files).parent / "uploads") == [])
        names = {entry.name for entry in await files.list("", recursive=True)}
        assert not [name for name in names if name.startswith(".sandql")]
