"""Files in a workspace: what a caller gets, what a hostile program cannot do about it, and what a crash leaves."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandql.core.errors import BadRequest, NotFound, PayloadTooLarge, ResourceError
from sandql.core.values import FileType, MiB
from sandql.providers.local.place import Place
from sandql.providers.local.workspace import Workspace
from tests.support.workspaces import QUOTA, SECRET, make_deep, make_root, open_workspace

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]


@pytest.fixture(params=["openat2", "steps"], autouse=True)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test holds on kernels with openat2 and on those without."""
    if request.param == "steps":
        monkeypatch.setattr("sandql.providers.local.beneath._has_openat2", lambda: False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace's directory, with a secret beside it."""
    return make_root(tmp_path)


@pytest.fixture
def workspace(root: Path) -> Workspace:
    return open_workspace(root)


# --- reading and listing -----------------------------------------------------


def test_what_is_written_is_read_and_listed(root: Path, workspace: Workspace) -> None:
    workspace.write("b/deep/x.txt", b"\0\xff", *QUOTA)
    workspace.write("a.txt", b"12345", *QUOTA)
    assert workspace.read("b/deep/x.txt", 2) == b"\0\xff"
    assert [(entry.path, entry.name, entry.type, entry.size) for entry in workspace.list_entries("", False, 10)] == [
        ("a.txt", "a.txt", FileType.FILE, 5),
        ("b", "b", FileType.DIRECTORY, 0),
    ]
    assert [entry.path for entry in workspace.list_entries("", True, 10)] == ["a.txt", "b", "b/deep", "b/deep/x.txt"]
    assert [entry.path for entry in workspace.list_entries("b", True, 10)] == ["b/deep", "b/deep/x.txt"]
    assert workspace.list_entries("b/deep", False, 10)[0].modified_at == (root / "b/deep/x.txt").stat().st_mtime


def test_links_are_listed_as_links_and_never_followed(root: Path, workspace: Workspace) -> None:
    (root / "file").symlink_to("../secret")
    (root / "folder").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / "magic").symlink_to("/proc/self/root")
    (root / "inside").mkdir()
    (root / "inside" / "x").write_bytes(b"x")
    (root / "near").symlink_to("inside")
    listed = workspace.list_entries("", True, 100)
    assert {entry.path for entry in listed if entry.type is FileType.SYMLINK} == {"file", "folder", "loop", "magic", "near"}
    assert len(listed) == 7
    for path in ("file", "folder/secret", "loop", "magic/etc/passwd", "near/x"):
        with pytest.raises(BadRequest, match="symbolic link"):
            workspace.read(path, 100)
    for path in ("folder", "magic", "near"):
        with pytest.raises(BadRequest, match="symbolic link"):
            workspace.list_entries(path, False, 100)
        with pytest.raises(BadRequest, match="symbolic link"):
            workspace.write(f"{path}/new", b"x", *QUOTA)
    assert sorted(path.name for path in root.parent.iterdir()) == ["secret", "workspace"]


def test_what_is_no_regular_file_is_named_and_not_opened(root: Path, workspace: Workspace) -> None:
    os.mkfifo(root / "pipe")
    (root / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(root)  # the path of a socket must be short
        try:
            listener.bind("sock")
        finally:
            os.chdir(here)
        for path, words in (("pipe", "a fifo"), ("folder", "a folder"), ("sock", "a socket"), ("", "a folder")):
            with pytest.raises(BadRequest, match=words):
                workspace.read(path, 100)
        assert {entry.type for entry in workspace.list_entries("", False, 10)} == {FileType.OTHER, FileType.DIRECTORY}
    with pytest.raises(BadRequest, match="a device"):
        open_workspace(Path("/dev")).read("zero", 100)
    with pytest.raises(BadRequest, match="a fifo, not a folder"):
        workspace.list_entries("pipe", False, 10)


def test_what_is_not_there_is_not_found(root: Path, workspace: Workspace) -> None:
    (root / "file").write_bytes(b"")
    for path in ("nothing", "no/thing"):
        with pytest.raises(NotFound, match=path):
            workspace.read(path, 100)
        with pytest.raises(NotFound, match=path):
            workspace.list_entries(path, False, 100)
    with pytest.raises(BadRequest, match="not a folder"):
        workspace.read("file/x", 100)
    with pytest.raises(BadRequest, match="a file, not a folder"):
        workspace.list_entries("file", False, 100)


def test_a_file_over_the_bound_is_not_read(root: Path, workspace: Workspace) -> None:
    (root / "five").write_bytes(b"12345")
    assert workspace.read("five", 5) == b"12345"
    with pytest.raises(PayloadTooLarge, match="at most 4 bytes can be read, 'five' has 5"):
        workspace.read("five", 4)
    with open(root / "sparse", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(PayloadTooLarge, match="1099511627776"):
        workspace.read("sparse", 16 * MiB)


def test_a_file_that_grows_while_it_is_read_is_bounded(root: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "log").write_bytes(b"x")
    read = os.pread

    def growing(fd: int, size: int, offset: int) -> bytes:
        with open(root / "log", "ab") as file:
            file.write(b"x" * 10)
        return read(fd, min(size, 10), offset)

    monkeypatch.setattr(os, "pread", growing)
    with pytest.raises(PayloadTooLarge, match="at most 100 bytes"):
        workspace.read("log", 100)


def test_names_that_are_not_utf_8_are_shown_so_that_json_carries_them(root: Path, workspace: Workspace) -> None:
    os.mkdir(os.fsencode(root) + b"/d\xff")
    Path(os.fsdecode(os.fsencode(root) + b"/d\xff/\xc3\xa9\x80")).write_bytes(b"x")
    listed = workspace.list_entries("", True, 10)
    assert [entry.path for entry in listed] == ["d\ufffd", "d\ufffd/é\ufffd"]
    json.dumps([entry.path for entry in listed], ensure_ascii=False).encode()
    (file,) = workspace.collect(("**",), 10, 10)
    assert (file.path, file.content) == ("d\ufffd/é\ufffd", b"x")


def test_a_listing_is_bounded(root: Path, workspace: Workspace) -> None:
    for number in range(11):
        (root / str(number)).mkdir()
    assert len(workspace.list_entries("", True, 11)) == 11
    with pytest.raises(ResourceError, match="more than 10 entries"):
        workspace.list_entries("", True, 10)


@pytest.mark.parametrize("letters", ["f", "fü☃"])
def test_pages_of_a_large_folder_are_what_is_there_now(root: Path, workspace: Workspace, letters: str) -> None:
    def paged() -> list[str]:
        paths: list[str] = []
        while page := workspace.list_entries("d", False, 100_000, first=700, after=paths[-1] if paths else None):
            paths += [entry.path for entry in page]
        return paths

    (root / "d").mkdir()
    for number in range(2000):
        (root / "d" / f"{letters[number % len(letters)]}{number}").touch()
    old = time.time_ns() - 10**10
    assert paged() == sorted(f"d/{letters[number % len(letters)]}{number}" for number in range(2000))
    for number in range(3):  # the names are kept, and a change shows all the same, at whatever time it says that it was
        deadline = time.monotonic() + 0.2
        there = paged()
        while time.monotonic() < deadline:
            there = paged()
        (root / "d" / f"new{number}").touch()
        os.utime(root / "d", ns=(old, old))
        assert paged() == sorted([*there, f"d/new{number}"])


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("first", [1, 2, 3, 5])
def test_pages_leave_out_no_name_that_is_shown_like_another(root: Path, workspace: Workspace, recursive: bool, first: int) -> None:
    (root / "d").mkdir()
    for name in (b"d/a", b"d/n\xfd", b"d/n\xfe", b"d/n\xff", b"d/z"):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).touch()
    whole = [entry.path for entry in workspace.list_entries("d", recursive, 10)]
    assert whole == ["d/a", "d/n\ufffd", "d/n\ufffd", "d/n\ufffd", "d/z"]
    paged: list[str] = []
    while page := workspace.list_entries("d", recursive, 10, first=first, after=paged[-1] if paged else None):
        paged += [entry.path for entry in page]
    assert paged == whole
    with pytest.raises(ResourceError, match="more than 2 entries whose names are not UTF-8"):
        workspace.list_entries("d", recursive, 2, first=1, after="d/a")


def test_folders_deeper_than_a_path_are_said_to_be_so(root: Path, workspace: Workspace) -> None:
    make_deep(root, 60, "d" * 100)
    with pytest.raises(ResourceError, match="nest deeper than 4095 bytes of path"):
        workspace.list_entries("", True, 1000)
    assert len(workspace.list_entries("", False, 1000)) == 1


# --- writing -----------------------------------------------------------------


def test_writing_replaces_files_and_links_but_not_folders(root: Path, workspace: Workspace) -> None:
    (root / "script").write_bytes(b"old")
    (root / "script").chmod(0o4755)
    (root / "link").symlink_to("../secret")
    (root / "folder").mkdir()
    os.mkfifo(root / "pipe")
    for name in ("script", "link", "pipe"):
        workspace.write(name, b"new", *QUOTA)
        assert workspace.read(name, 10) == b"new"
    assert stat.S_IMODE((root / "script").stat().st_mode) == 0o755
    assert (root.parent / "secret").read_bytes() == SECRET
    for path, words in (("folder", "is a folder"), ("script/x", "not a folder"), ("", "must name a file"), (".", "must name a file")):
        with pytest.raises(BadRequest, match=words):
            workspace.write(path, b"x", *QUOTA)
    assert sorted(path.name for path in root.iterdir()) == ["folder", "link", "pipe", "script"]


def test_what_a_server_that_is_root_writes_belongs_to_the_owner_of_the_workspace(
    root: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_away: list[tuple[str, int]] = []

    def noted(fd: int, uid: int, gid: int) -> None:
        path = os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), root)
        given_away.append(("new" if ".sandql-write-" in path else path, uid))

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", noted)
    workspace.write("a/file", b"x", *QUOTA)
    owner = root.stat().st_uid
    assert given_away == [("a", owner), ("new", owner)]


def test_a_hard_link_keeps_what_it_had(root: Path, workspace: Workspace) -> None:
    (root / "one").write_bytes(b"old")
    os.link(root / "one", root / "two")
    workspace.write("one", b"new", *QUOTA)
    assert (root / "two").read_bytes() == b"old"


def test_adding_is_to_the_file_itself(root: Path, workspace: Workspace) -> None:
    (root / "one").write_bytes(b"old")
    (root / "one").chmod(0o4750)
    os.link(root / "one", root / "two")
    workspace.write("one", b"new", *QUOTA, append=True)
    assert (root / "two").read_bytes() == b"oldnew"
    assert stat.S_IMODE((root / "two").stat().st_mode) == 0o750
    workspace.write("one", b"", *QUOTA, append=True, mode=0o400)
    workspace.write("one", b"er", *QUOTA, append=True)  # also by a server that is not root
    assert ((root / "two").read_bytes(), stat.S_IMODE((root / "two").stat().st_mode)) == (b"oldnewer", 0o400)


def test_only_regular_files_within_the_quota_are_added_to(root: Path, workspace: Workspace) -> None:
    (root / "link").symlink_to("../secret")
    (root / "folder").mkdir()
    os.mkfifo(root / "pipe")
    for name in ("link", "folder", "pipe"):
        with pytest.raises(BadRequest, match=r"folder|only a regular file can be added to"):
            workspace.write(name, b"x", *QUOTA, append=True)
    assert (root.parent / "secret").read_bytes() == SECRET
    used = workspace.usage()[0]
    block = os.statvfs(root).f_frsize
    workspace.write("a", b"x", used + 2 * block, 10)
    os.link(root / "a", root / "b")
    workspace.write("a", b"x" * (2 * block - 1), used + 2 * block, 10, append=True)
    with pytest.raises(ResourceError, match="takes"):
        workspace.write("a", b"x", used + 2 * block, 10, append=True)
    assert (root / "b").read_bytes() == b"x" * (2 * block)


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "a\0b", "\ud800", "a/" * 2100, ".."])
def test_paths_that_are_not_acceptable_are_refused_everywhere(path: str, root: Path, workspace: Workspace) -> None:
    calls: list[Callable[[], object]] = [
        lambda: workspace.read(path, 10),
        lambda: workspace.write(path, b"x", *QUOTA),
        lambda: workspace.list_entries(path, True, 10),
        lambda: workspace.collect((path,), 10, 10),
    ]
    for call in calls:
        with pytest.raises(BadRequest, match="path: "):
            call()
    assert list(root.iterdir()) == []


def test_a_name_that_is_too_long_is_refused(workspace: Workspace) -> None:
    with pytest.raises(BadRequest, match="each part at most 255 bytes"):
        workspace.write("x" * 256, b"", *QUOTA)


_PARTS = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=40)
_ANY_PATH = st.lists(_PARTS | st.sampled_from([".", "..", "", "~", "-", "*"]), min_size=1, max_size=5).map("/".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(path=_ANY_PATH, content=st.binary(max_size=100))
def test_any_path_is_refused_or_stays_inside(path: str, content: bytes, root: Path, workspace: Workspace) -> None:
    try:
        workspace.write(path, content, *QUOTA)
    except (BadRequest, ResourceError):
        pass
    else:
        assert workspace.read(path, 100) == content
        parts = [part for part in path.split("/") if part not in ("", ".")]
        assert root.joinpath(*parts).read_bytes() == content
    assert sorted(os.listdir(root.parent)) == ["secret", "workspace"]
    assert (root.parent / "secret").read_bytes() == SECRET


# --- quota -------------------------------------------------------------------


def test_usage_counts_disk_once_and_each_name(root: Path, workspace: Workspace) -> None:
    assert workspace.usage() == (0, 0)
    (root / "one").write_bytes(b"x" * 10_000)
    once = workspace.usage()
    os.link(root / "one", root / "two")
    assert workspace.usage() == (once[0], 2)
    with open(root / "sparse", "wb") as file:
        file.truncate(1 << 40)
    assert workspace.usage() == (once[0], 3)
    assert once[0] >= 10_000


def test_a_folder_without_permissions_hides_nothing_and_keeps_its_mode(root: Path, workspace: Workspace) -> None:
    (root / "shut" / "in").mkdir(parents=True)
    (root / "shut" / "in" / "file").write_bytes(b"x" * 5000)
    expected = workspace.usage()
    for path in ("shut/in", "shut", ""):
        (root / path).chmod(0)
    try:
        assert workspace.usage() == expected
        assert stat.S_IMODE(root.stat().st_mode) == 0
        root.chmod(0o755)
        assert stat.S_IMODE((root / "shut").stat().st_mode) == 0
    finally:
        for path in ("", "shut", "shut/in"):
            (root / path).chmod(0o755)


def test_the_quota_of_bytes_holds_and_a_refused_write_leaves_nothing(root: Path, workspace: Workspace) -> None:
    block = os.statvfs(root).f_frsize
    workspace.write("a", b"x" * block, 3 * block, 10)
    workspace.write("b", b"x" * (2 * block), 3 * block, 10)
    with pytest.raises(ResourceError, match=rf"at most {3 * block} bytes, {3 * block} are used"):
        workspace.write("c", b"x", 3 * block, 10)
    with pytest.raises(ResourceError, match="bytes"):
        workspace.write("b", b"x" * (2 * block + 1), 3 * block, 10)
    workspace.write("b", b"y" * (2 * block), 3 * block, 10)
    workspace.write("empty", b"", 3 * block, 10)
    assert sorted(os.listdir(root)) == ["a", "b", "empty"]
    assert workspace.read("b", 3 * block) == b"y" * (2 * block)


def test_the_quota_of_files_counts_the_folders_that_are_made(root: Path, workspace: Workspace) -> None:
    with pytest.raises(ResourceError, match="at most 2 files and folders, 0 are there"):
        workspace.write("a/b/c", b"x", MiB, 2)
    assert list(root.iterdir()) == []
    workspace.write("a/b/c", b"x", MiB, 3)
    workspace.write("a/b/c", b"y", MiB, 3)
    with pytest.raises(ResourceError, match="files and folders"):
        workspace.write("a/b/d", b"x", MiB, 3)


def test_writers_at_the_same_time_share_one_quota(root: Path) -> None:
    block = os.statvfs(root).f_frsize
    place = Place()

    def write(number: int) -> bool:
        try:
            open_workspace(root, place).write(f"f{number}", b"x" * block, 5 * block, 100)
        except ResourceError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(24))) == 5
    assert open_workspace(root).usage() == (5 * block, 5)


def test_a_full_disk_is_said_and_leaves_nothing(root: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ResourceError, match="the disk is full"):
        workspace.write("file", b"x", *QUOTA)
    assert list(root.iterdir()) == []
