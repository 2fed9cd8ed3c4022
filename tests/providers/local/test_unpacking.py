"""Archives that are hostile, broken or bombs: all is unpacked or nothing, within bounds of memory, time and disk."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from sandql.core.errors import BadRequest, PayloadTooLarge, ResourceError, SandqlError
from sandql.core.values import MiB
from sandql.providers.local.regular import told
from sandql.providers.local.unpacking import unpack
from tests.support.workspaces import SECRET, make_root, open_workspace

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]

_MOST = 64 * MiB
_QUOTA = (16 * MiB, 500)


def unpacked(folder: Path, packed: bytes) -> dict[str, bytes]:
    """What an archive leaves in a new folder, whether it is taken or not; at most as much as the quota says."""
    root = make_root(folder)
    (folder / "archive").write_bytes(packed)
    (root / "into").mkdir()
    left: list[int] = [*_QUOTA]

    def room(more_bytes: int, more_names: int) -> None:
        left[0] -= more_bytes
        left[1] -= more_names
        if min(left) < 0:
            raise ResourceError("full")

    archive_fd, into_fd = os.open(folder / "archive", os.O_RDONLY), os.open(root / "into", os.O_RDONLY)
    try:
        with told("into"):
            unpack(archive_fd, into_fd, room, open_workspace(root).writes(_QUOTA), _MOST, _QUOTA[1] + 10)
    finally:
        os.close(archive_fd)
        os.close(into_fd)
        assert (folder / "secret").read_bytes() == SECRET
        assert sorted(path.name for path in folder.iterdir()) == ["archive", "secret", "workspace"]
        assert os.listdir(root) == ["into"]
    paths = [Path(folder, name) for folder, _, names in os.walk(root / "into") for name in names]  # what a link leads to may be no path
    return {str(path.relative_to(root / "into")): path.read_bytes() for path in paths if not path.is_symlink() and path.is_file()}


def header(name: str = "a", kind: bytes = tarfile.REGTYPE, size: int = 0, **fields: object) -> bytes:
    """The 512 bytes that say what an entry is."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    for field, value in fields.items():
        setattr(member, field, value)
    return member.tobuf(tarfile.GNU_FORMAT)


def pax(kind: bytes, *records: tuple[str, str]) -> bytes:
    """Attributes of the next entry, or of all."""
    body = b""
    for name, value in records:
        rest = f" {name}={value}\n".encode()
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length += 1
        body += str(length).encode() + rest
    return header("pax", kind, len(body)) + body + bytes(-len(body) % 512)


def gz(*parts: bytes) -> bytes:
    return gzip.compress(b"".join(parts), 1)


def bomb(write: Callable[[gzip.GzipFile], None]) -> bytes:
    """An archive that is small as it is, and large when it is unpacked."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9) as stream:
        write(stream)
    return packed.getvalue()


def zeros(stream: gzip.GzipFile, mib: int) -> None:
    for _ in range(mib):
        stream.write(bytes(MiB))


def test_what_common_tools_make_is_taken(tmp_path: Path) -> None:
    for number, form in enumerate((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)):
        folder = tmp_path / str(number)
        folder.mkdir()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", format=form) as archive:
            top = tarfile.TarInfo("./")
            top.type = tarfile.DIRTYPE
            archive.addfile(top)
            for name, content in (("./a/b", b"x" * 1000), ("./" + "/".join(["d" * 40] * 5), b"deep"), ("./empty", b"")):
                member = tarfile.TarInfo(name)
                member.size, member.mtime, member.mode = len(content), 1_600_000_000, 0o755
                archive.addfile(member, io.BytesIO(content))
        assert unpacked(folder, packed.getvalue()) == {"a/b": b"x" * 1000, "/".join(["d" * 40] * 5): b"deep", "empty": b""}
        info = (folder / "workspace" / "into" / "a" / "b").stat()
        assert (info.st_mtime, info.st_mode & 0o7777) == (1_600_000_000, 0o755)


def test_a_link_may_lead_to_any_number(tmp_path: Path) -> None:
    target, path = "1" * 4095, "/".join(["2" * 255] * 5)
    assert unpacked(tmp_path, gz(pax(b"x", ("path", path), ("linkpath", target)), header("a", tarfile.SYMTYPE, linkname="b"), END)) == {}
    assert os.readlink(tmp_path / "workspace" / "into" / path) == target


def test_several_pieces_of_gzip_are_one_archive(tmp_path: Path) -> None:
    assert unpacked(tmp_path, gz(header(size=1) + b"x") + gz(bytes(511 + 1024))) == {"a": b"x"}


END = bytes(1024)


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(gz(header("fine", size=0), header("a", size=1) + b"x" * 100), id="cut in a file"),
        pytest.param(gz(header("fine", size=0), header("a")[:300]), id="cut in a head"),
        pytest.param(gz(header("fine", size=0), b"nonsense" * 64, END), id="a head that is none"),
        pytest.param(gz(header("fine", size=0), END)[:-4], id="a checksum that is cut off"),
        pytest.param(gz(header("fine", size=0), END)[:-8] + bytes(8), id="another checksum"),
        pytest.param(gz(header("a/../../b")), id="dots"),
        pytest.param(gz(header("/etc/b")), id="absolute"),
        pytest.param(gz(header("a\0b"), pax(b"x", ("path", "a\0b")), header()), id="a NUL"),
        pytest.param(gz(pax(b"x", ("path", "../up")), header()), id="dots in an attribute"),
        pytest.param(gz(pax(b"x", ("size", "-1")), header(), END), id="a size below nothing"),
        pytest.param(gz(pax(b"x", ("comment", "1" * 6000)), header(), END), id="more digits than any name has"),
        pytest.param(gz(pax(b"x", ("comment", ("1" * 4095 + "x") * 3)), header(), END), id="more such names than an entry has"),
        pytest.param(gz(pax(b"x", ("mtime", "nan")), header(), END), id="a time that is none"),
        pytest.param(gz(pax(b"x", ("mtime", "1e400")), header(), END), id="a time without end"),
        pytest.param(gz(header("a", tarfile.LNKTYPE, linkname="/etc/passwd")), id="a hard link"),
        pytest.param(gz(header("a", tarfile.CHRTYPE)), id="a device"),
        pytest.param(gz(header("a", tarfile.FIFOTYPE)), id="a fifo"),
        pytest.param(gz(header("a", tarfile.GNUTYPE_SPARSE, 0)), id="a sparse file"),
        pytest.param(gz(header("a", tarfile.SYMTYPE, linkname="")), id="a link to nowhere"),
        pytest.param(gz(header("a", tarfile.SYMTYPE, linkname=".."), header("a/b")), id="through a link"),
        pytest.param(gz(header("a", tarfile.SYMTYPE, linkname="/etc/passwd"), header("a", size=1) + b"x"), id="onto a link"),
        pytest.param(gz(header("a", tarfile.DIRTYPE), header("a", tarfile.SYMTYPE, linkname=".."), header("a/b")), id="a folder that becomes a link"),
        pytest.param(gz(header("a"), header("a/b")), id="below a file"),
        pytest.param(gz(header(".sandql-write-0123456789abcdef"), END), id="a name for what is not finished"),
        pytest.param(gz(header("a/.sandql-write-0123456789abcdef/b", tarfile.DIRTYPE), END), id="a folder of such a name"),
        pytest.param(gz(header("x" * 300)), id="a name that is too long"),
        pytest.param(gz(*[header("l", tarfile.GNUTYPE_LONGNAME, 0)] * 3000, header()), id="heads of heads of heads"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"PK\x03\x04" + bytes(100), id="a zip"),
        pytest.param(gz(b"x" * 5000), id="gzip of something else"),
    ],
)
def test_what_is_not_acceptable_is_said_to_be_so(tmp_path: Path, packed: bytes) -> None:
    with pytest.raises(BadRequest, match="archive"):
        unpacked(tmp_path, packed)


BOMBS: dict[str, Callable[[gzip.GzipFile], object]] = {
    "a large file": lambda s: (s.write(header(size=1 << 33)), zeros(s, 300)),
    "a file larger than all disks": lambda s: s.write(header(size=1 << 60)),
    "what belongs to the folder itself": lambda s: (s.write(header(".", size=1 << 33)), zeros(s, 300)),
    "what follows the end": lambda s: (s.write(END), zeros(s, 300)),
    "a name that is large": lambda s: (s.write(header("l", tarfile.GNUTYPE_LONGNAME, 300 * MiB)), zeros(s, 300)),
    "attributes that are large": lambda s: (s.write(header("x", tarfile.XHDTYPE, 300 * MiB)), zeros(s, 300)),
    "a map of holes that is large": lambda s: (
        s.write(pax(b"x", ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")) + header(size=300 * MiB) + b"999999999\n"),
        [s.write(b"1\n" * (MiB // 2)) for _ in range(300)],
    ),
    "attributes for all, again and again": lambda s: [s.write(pax(b"g", (f"k{n}", "v" * 500_000))) for n in range(300)],
    "folders, again and again": lambda s: [s.write(header("d", tarfile.DIRTYPE) * 2048) for _ in range(300)],
    "many files": lambda s: [s.write(header(f"f{n}")) for n in range(5000)],
    "many folders": lambda s: [s.write(header("/".join([str(n), *"abcdefghij"]), tarfile.DIRTYPE)) for n in range(1000)],
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_little_memory_time_and_disk(tmp_path: Path, name: str) -> None:
    packed = bomb(lambda stream: (BOMBS[name](stream), None)[1])
    assert len(packed) < 4 * MiB
    tracemalloc.start()
    began = monotonic()
    try:
        with pytest.raises((BadRequest, PayloadTooLarge, ResourceError)):
            unpacked(tmp_path, packed)
        assert tracemalloc.get_traced_memory()[1] < 12 * MiB
    finally:
        tracemalloc.stop()
    assert monotonic() - began < 20
    used = sum(path.lstat().st_blocks * 512 for path in tmp_path.rglob("*") if path.name != "archive")
    assert used < _QUOTA[0] + 8 * MiB


def test_any_bytes_are_taken_or_refused(tmp_path: Path) -> None:
    chance = random.Random(7)
    whole = b"".join(
        (
            header("d", tarfile.DIRTYPE, mode=0o700),
            pax(b"x", ("path", "d/" + "n" * 120), ("mtime", "1.5")),
            header("short", size=700) + b"x" * 1024,
            header("l", tarfile.GNUTYPE_LONGNAME, 130) + b"d/" + b"m" * 127 + bytes(1 + 382),
            header("short", size=3) + b"abc" + bytes(509),
            header("d/link", tarfile.SYMTYPE, linkname="../../../etc"),
            END,
        )
    )
    taken = 0
    for number in range(400):
        bent = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(bent)) if chance.random() < 0.2 else chance.choice([0, 512, 1536, 3072, 4096, 5120]) + chance.randrange(512)
            bent[at % len(bent)] = chance.choice([0, 0xFF, 0x80, *b"0123567xgLKS/.", chance.randrange(256)])
        for start in range(0, len(bent), 512):  # heads whose sums are right get further
            if chance.random() < 0.7:
                total = sum(bent[start : start + 148]) + 8 * 32 + sum(bent[start + 156 : start + 512])
                if whole[start + 257 : start + 262] == b"ustar":
                    bent[start + 148 : start + 156] = b"%06o\0 " % total
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            unpacked(folder, gz(bytes(bent)))
            taken += 1
        except SandqlError:
            pass
    assert taken > 10
