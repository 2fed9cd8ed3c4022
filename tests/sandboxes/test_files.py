"""Files of a home, by the resolvers: every operation, and who watches."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import pytest

from sandql.core.errors import BadRequest, Conflict, NotFound, PayloadTooLarge, ResourceError, SandqlError
from sandql.core.files import ChangeKind, FileChange
from sandql.core.values import FileType
from sandql.resolvers import code, files
from sandql.resolvers.operations import ExecuteCode
from sandql.sandboxes.borrow import Sandboxes
from tests.support.engine import settled, until
from tests.support.house import ALICE, open_house

pytestmark = pytest.mark.unprivileged


@pytest.fixture
async def house() -> AsyncGenerator[Sandboxes]:
    """A house with an empty home."""
    async with open_house(pool_size=1) as opened:
        yield opened


async def put(house: Sandboxes, **contents: str) -> None:
    for path, content in contents.items():
        await files.write_file(house, ALICE, path.replace("__", "/"), content)


async def paths(house: Sandboxes, **asked: object) -> list[str]:
    return [entry.path for entry in await files.list_files(house, ALICE, "", **{"recursive": True, **asked})]  # pyright: ignore[reportArgumentType]


async def content(house: Sandboxes, path: str) -> bytes:
    return (await files.read_file(house, ALICE, path)).content.content


async def test_writing_appending_and_modes(house: Sandboxes) -> None:
    await files.write_file(house, ALICE, "a/b.txt", "one", mode=0o640)
    await files.write_file(house, ALICE, "a/b.txt", "two", append=True)
    assert await content(house, "a/b.txt") == b"onetwo"
    assert (await files.find_file(house, ALICE, "a/b.txt")).mode == 0o640, "an old mode is kept"
    await files.write_file(house, ALICE, "a/b.txt", "three", mode=0o755)
    assert (await files.find_file(house, ALICE, "a/b.txt")).mode == 0o755
    await files.write_file(house, ALICE, "new", "x", append=True)
    assert await content(house, "new") == b"x"
    for mode in (-1, 0o1000, 0o4755):
        with pytest.raises(BadRequest, match="mode"):
            await files.write_file(house, ALICE, "a/b.txt", "x", mode=mode)
    run = ExecuteCode("import os\nprint(oct(os.stat('a/b.txt').st_mode), os.stat('a').st_uid == os.getuid())", "python", sandbox_id="home")
    assert (await code.execute(house, ALICE, run)).stdout == b"0o100755 True\n"


async def test_parts_of_a_file(house: Sandboxes) -> None:
    await put(house, f="0123456789")
    part = await files.read_file(house, ALICE, "f", offset=2, length=3)
    assert (part.content.content, part.offset, part.file_size) == (b"234", 2, 10)
    assert (await files.read_file(house, ALICE, "f", offset=8)).content.content == b"89"
    assert (await files.read_file(house, ALICE, "f", offset=99)).content.content == b""
    assert (await files.read_file(house, ALICE, "f", length=0)).content.content == b""
    with pytest.raises(BadRequest, match="length"):
        await files.read_file(house, ALICE, "f", length=-1)


async def test_a_large_file_is_read_in_parts(house: Sandboxes) -> None:
    await code.execute(house, ALICE, ExecuteCode("open('big', 'wb').write(b'x' * (40 << 20) + b'end')", "python", sandbox_id="home"))
    with pytest.raises(PayloadTooLarge):
        await files.read_file(house, ALICE, "big")
    assert (await files.read_file(house, ALICE, "big", offset=40 << 20)).content.content == b"end"


async def test_making_moving_copying_removing(house: Sandboxes) -> None:
    await put(house, d__x="x", d__e__y="y")
    await files.make_directory(house, ALICE, "d/e/f/g")
    await files.make_directory(house, ALICE, "d/e/f/g")
    await files.copy_file(house, ALICE, "d", "copy/of", overwrite=False, recursive=True)
    assert await content(house, "copy/of/e/y") == b"y"
    assert "copy/of/e/f/g" in await paths(house)
    await files.move_file(house, ALICE, "d", "moved", overwrite=False)
    assert {path.partition("/")[0] for path in await paths(house)} == {"copy", "moved"}
    await files.copy_file(house, ALICE, "moved/x", "x2", overwrite=False, recursive=False)
    await files.remove_file(house, ALICE, "x2", recursive=False)
    with pytest.raises(Conflict, match="recursive"):
        await files.remove_file(house, ALICE, "moved", recursive=False)
    await files.remove_file(house, ALICE, "moved", recursive=True)
    assert {path.partition("/")[0] for path in await paths(house)} == {"copy"}


async def test_a_file_is_moved_onto_another_name_of_itself(house: Sandboxes) -> None:
    await code.execute(
        house, ALICE, ExecuteCode("import os\nopen('a', 'w').write('x')\nos.mkdir('d')\nos.link('a', 'd/b')", "python", sandbox_id="home")
    )
    await files.move_file(house, ALICE, "a", "./a", overwrite=True)
    assert await paths(house) == ["a", "d", "d/b"]
    with pytest.raises(Conflict):
        await files.move_file(house, ALICE, "a", "d/b", overwrite=False)
    await files.move_file(house, ALICE, "a", "d/b", overwrite=True)
    assert await paths(house) == ["d", "d/b"]
    assert await content(house, "d/b") == b"x"


_IMPOSSIBLE: list[tuple[Callable[[Sandboxes], Awaitable[object]], type[SandqlError]]] = [
    (lambda h: files.move_file(h, ALICE, "none", "a", overwrite=False), NotFound),
    (lambda h: files.copy_file(h, ALICE, "none", "a", overwrite=False, recursive=True), NotFound),
    (lambda h: files.remove_file(h, ALICE, "none", recursive=True), NotFound),
    (lambda h: files.find_file(h, ALICE, "none"), NotFound),
    (lambda h: files.remove_file(h, ALICE, "x/below", recursive=True), BadRequest),
    (lambda h: files.move_file(h, ALICE, "x", "y", overwrite=False), Conflict),
    (lambda h: files.copy_file(h, ALICE, "x", "y", overwrite=False, recursive=False), Conflict),
    (lambda h: files.move_file(h, ALICE, "x", "d", overwrite=True), Conflict),
    (lambda h: files.move_file(h, ALICE, "d", "x", overwrite=True), Conflict),
    (lambda h: files.move_file(h, ALICE, "d", "d/e/inside", overwrite=False), BadRequest),
    (lambda h: files.copy_file(h, ALICE, "d", "d/e/inside", overwrite=False, recursive=True), BadRequest),
    (lambda h: files.copy_file(h, ALICE, "d", "other", overwrite=False, recursive=False), BadRequest),
    (lambda h: files.move_file(h, ALICE, "", "a", overwrite=True), BadRequest),
    (lambda h: files.remove_file(h, ALICE, ".", recursive=True), BadRequest),
    (lambda h: files.remove_file(h, ALICE, "../x", recursive=True), BadRequest),
    (lambda h: files.move_file(h, ALICE, "x", "/etc/x", overwrite=True), BadRequest),
    (lambda h: files.copy_file(h, ALICE, "/workspace/../etc/passwd", "a", overwrite=True, recursive=True), BadRequest),
    (lambda h: files.make_directory(h, ALICE, "x"), BadRequest),
    (lambda h: files.make_directory(h, ALICE, "x/y"), BadRequest),
    (lambda h: files.list_files(h, ALICE, "", first=0), BadRequest),
    (lambda h: files.list_files(h, ALICE, "", glob="../*"), BadRequest),
]


@pytest.mark.parametrize(("act", "error"), _IMPOSSIBLE)
async def test_what_cannot_be_done_changes_nothing(house: Sandboxes, act: Callable[[Sandboxes], Awaitable[object]], error: type[SandqlError]) -> None:
    await put(house, x="x", y="y", d__e__f="f")
    before = [(entry.path, entry.size) for entry in await files.list_files(house, ALICE, "", recursive=True)]
    with pytest.raises(error):
        await act(house)
    assert [(entry.path, entry.size) for entry in await files.list_files(house, ALICE, "", recursive=True)] == before


async def test_globs_and_pages(house: Sandboxes) -> None:
    await put(house, **{f"src__{name}": "" for name in ("a.py", "b.py", "c.txt")}, src__deep__d__py="", top="")
    assert await paths(house, recursive=False, glob="src/*.py") == ["src/a.py", "src/b.py"]
    assert await paths(house, glob="**/c.*") == ["src/c.txt"]
    everything = await paths(house)
    paged: list[str] = []
    while page := await paths(house, first=2, after=paged[-1] if paged else None):
        paged += page
    assert paged == everything


async def test_quotas_hold_for_every_way_of_writing() -> None:
    async with open_house(workspace_bytes=256 << 10, workspace_inodes=20) as house:
        await files.write_file(house, ALICE, "a", b"x" * (100 << 10))
        for act in (
            files.write_file(house, ALICE, "b", b"x" * (200 << 10)),
            files.write_file(house, ALICE, "a", b"x" * (200 << 10), append=True),
        ):
            with pytest.raises(ResourceError, match="262144"):
                await act
        await files.copy_file(house, ALICE, "a", "b", overwrite=False, recursive=False)
        with pytest.raises(ResourceError):
            await files.copy_file(house, ALICE, "a", "c", overwrite=False, recursive=False)
        with pytest.raises(ResourceError):
            await files.make_directory(house, ALICE, "/".join("qrstuvwxyzabcdefghijklmnop"))
        assert await paths(house) == ["a", "b"]
        await files.remove_file(house, ALICE, "b", recursive=False)
        await files.write_file(house, ALICE, "a", b"x" * (200 << 10))
        sparse = ExecuteCode("import os\nos.truncate(os.open('s', os.O_CREAT | os.O_RDWR), 200 << 10)", "python", sandbox_id="home")
        await code.execute(house, ALICE, sparse)
        with pytest.raises(ResourceError):
            await files.copy_file(house, ALICE, "s", "t", overwrite=False, recursive=False)
        await code.execute(house, ALICE, ExecuteCode("import os\nos.remove('a')", "python", sandbox_id="home"))
        await files.write_file(house, ALICE, "b", b"x" * (200 << 10))


async def test_many_files_are_written_and_listed() -> None:
    async with open_house() as house:
        make = "import os\nfor n in range(10000):\n    open(f'f{n:05}', 'w').close()"
        await code.execute(house, ALICE, ExecuteCode(make, "python", sandbox_id="home"))
        page = await files.list_files(house, ALICE, "", first=1000, after="f04999")
        assert [entry.path for entry in page] == [f"f{number:05}" for number in range(5000, 6000)]
        await files.write_file(house, ALICE, "one more", "x")


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 10_000):
        yield data[at : at + 10_000]


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as made:
        for member, data in members:
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, link, 0o4755
    return made


async def test_a_directory_goes_out_and_in_as_an_archive(house: Sandboxes) -> None:
    await put(house, d__a="a" * 100_000, d__e__b="☃")
    await code.execute(house, ALICE, ExecuteCode("import os\nos.symlink('/etc/passwd', 'd/link')\nos.mkfifo('d/fifo')", "python", sandbox_id="home"))
    async with aclosing(files.pack_files(house, ALICE, "d", provider=None, sandbox_id=None)) as pieces:
        packed = b"".join([piece async for piece in pieces])
    with tarfile.open(fileobj=io.BytesIO(packed)) as made:
        assert {entry.name: entry.linkname for entry in made} == {"a": "", "e": "", "e/b": "", "link": "/etc/passwd"}
    await files.unpack_files(house, ALICE, "other", _chunks(packed), provider=None, sandbox_id=None)
    assert await content(house, "other/e/b") == "☃".encode()
    assert (await files.find_file(house, ALICE, "other/link")).type is FileType.SYMLINK
    with pytest.raises(BadRequest, match="symbolic link"):
        await content(house, "other/link")
    await put(house, other__a="changed", other__new="new")
    await files.unpack_files(house, ALICE, "other", _chunks(packed), provider=None, sandbox_id=None)
    assert await content(house, "other/a") == b"a" * 100_000
    assert await content(house, "other/new") == b"new", "what the archive does not have stays"


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"no archive",
        archive((member("a"), b"x"))[:-20],
        archive((member("../a"), b"x")),
        archive((member("/etc/a"), b"x")),
        archive((member("a/../../b"), b"x")),
        archive((member("a", tarfile.LNKTYPE, "/etc/passwd"), b"")),
        archive((member("a", tarfile.CHRTYPE), b"")),
        archive((member("a", tarfile.FIFOTYPE), b"")),
        archive((member("out", tarfile.SYMTYPE, "/tmp"), b""), (member("out/a"), b"x")),
        archive((member("out", tarfile.SYMTYPE, ".."), b""), (member("out/a"), b"x")),
        archive((member("a"), b"x"), (member("a"), b"y")),
        archive((member("a"), b"x"), (member("a/b"), b"y")),
        archive((member("x" * 300), b"x")),
        archive((member("fine"), b"x"), (member("bomb"), bytes(64 << 20)), (member("bomb2"), bytes(250 << 20))),
    ],
    ids=str,
)
async def test_an_archive_that_is_not_acceptable_leaves_nothing(house: Sandboxes, packed: bytes) -> None:
    with pytest.raises((BadRequest, ResourceError)):
        await files.unpack_files(house, ALICE, "into", _chunks(packed), provider=None, sandbox_id=None)
    assert await paths(house) == []
    assert list((house.settings.state_dir / "homes").glob("*/uploads/*")) == []


async def test_an_archive_brings_no_rights(house: Sandboxes) -> None:
    await files.unpack_files(house, ALICE, "", _chunks(archive((member("a"), b"x"))), provider=None, sandbox_id=None)
    assert (await files.find_file(house, ALICE, "a")).mode == 0o755


class Watched:
    """What one who watches was told."""

    def __init__(self) -> None:
        self.changes: list[FileChange] = []
        self.overflow = False
        self.batches = 0

    async def follow(self, house: Sandboxes, path: str, recursive: bool) -> None:
        async with aclosing(files.watch_files(house, ALICE, path, recursive=recursive)) as told:
            async for batch in told:
                self.batches += 1
                self.changes += batch.changes
                self.overflow |= batch.overflow

    def of(self, path: str) -> list[ChangeKind]:
        return [change.kind for change in self.changes if change.path == path]


async def watching(house: Sandboxes, path: str = "", *, recursive: bool = True) -> tuple[Watched, asyncio.Task[None]]:
    """Somebody who watches already."""
    watched = Watched()
    task = asyncio.ensure_future(watched.follow(house, path, recursive))
    for number in range(200):
        await files.write_file(house, ALICE, f"{path}/ready{number}".strip("/"), "")
        if await until(lambda: watched.changes, 0.1):
            return watched, task
    raise AssertionError("nothing was told")


async def test_what_the_house_writes_is_told_once_and_by_its_name(house: Sandboxes) -> None:
    watched, task = await watching(house)
    await put(house, d__a="1")
    assert await until(lambda: watched.of("d/a") == [ChangeKind.CREATED])
    await put(house, d__a="2")
    assert await until(lambda: watched.of("d/a") == [ChangeKind.CREATED, ChangeKind.MODIFIED])
    await files.move_file(house, ALICE, "d/a", "d/b", overwrite=False)
    assert await until(lambda: watched.of("d/b") == [ChangeKind.MOVED])
    assert next(change for change in watched.changes if change.path == "d/b").previous_path == "d/a"
    await files.remove_file(house, ALICE, "d", recursive=True)
    assert await until(lambda: watched.of("d")[-1:] == [ChangeKind.REMOVED])
    assert not [change for change in watched.changes if ".sandql" in change.path]
    task.cancel()


async def test_what_a_program_does_is_told_also_in_folders_that_are_new(house: Sandboxes) -> None:
    watched, task = await watching(house)
    make = "os.makedirs('p/q/r')\nopen('p/q/r/s', 'w').write('x')\nopen('top', 'w').write('y')"
    program = f"import os\n{make}\nos.rename('p', 'moved')\nopen('moved/q/later', 'w').close()"
    await code.execute(house, ALICE, ExecuteCode(program, "python", sandbox_id="home"))
    assert await until(lambda: watched.of("top"))
    assert await until(lambda: watched.of("moved/q/later") or watched.overflow)
    task.cancel()


async def test_without_recursion_only_the_folder_itself(house: Sandboxes) -> None:
    await files.make_directory(house, ALICE, "d/e")
    watched, task = await watching(house, "d", recursive=False)
    await put(house, d__e__deep="x", other="x")
    await put(house, d__last="x")
    assert await until(lambda: watched.of("d/last"))
    assert {change.path.rpartition("/")[0] for change in watched.changes} == {"d"}
    task.cancel()


async def test_watching_ends_with_the_folder_and_has_a_bound(house: Sandboxes) -> None:
    await files.make_directory(house, ALICE, "d")
    _, task = await watching(house, "d", recursive=False)
    await files.remove_file(house, ALICE, "d", recursive=True)
    await asyncio.wait_for(task, 10)
    with pytest.raises(NotFound):
        await anext(files.watch_files(house, ALICE, "d", recursive=False))
    async with open_house(max_watched_folders=3) as small:
        for number in range(4):
            await files.make_directory(small, ALICE, f"d{number}")
        with pytest.raises(ResourceError, match="at most 3"):
            await anext(files.watch_files(small, ALICE, "", recursive=True))


async def test_a_flood_of_changes_is_said_and_not_kept(house: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandql.providers.local.news._MOST_TOGETHER", 5)
    watched, task = await watching(house)
    flood = "import os\nfor n in range(3000):\n    open(f'f{n}', 'w').close()\n"
    await code.execute(house, ALICE, ExecuteCode(flood, "python", sandbox_id="home"))
    assert await until(lambda: watched.overflow)
    await settled(lambda: watched.batches)  # what comes together with the rest of the flood may be lost, too
    await put(house, after="x")
    assert await until(lambda: watched.of("after"))
    task.cancel()
