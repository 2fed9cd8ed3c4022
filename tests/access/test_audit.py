"""The audit log: each change of a line that was written is found, and the log goes on over restarts, files, and a full disk."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import sandql
from sandql.access.audit import Audit
from sandql.access.audit_chain import segments
from sandql.access.audit_turn import audit_turn, open_folder
from sandql.access.audit_verify import verify
from sandql.core.errors import Forbidden, NotFound, ResourceError
from sandql.core.settings import SettingsError
from sandql.core.values import Caller

_BIG = 1 << 20
_ALICE = Caller("alice", "developer", tenant="t", credential="key:abc", address="192.0.2.7")


def _write(folder: Path, count: int, segment_bytes: int = _BIG) -> None:
    with closing(Audit(folder, segment_bytes)) as audit:
        for number in range(count):
            audit.admitted(_ALICE, "execute", f"sb_{number}", None)


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in segments(folder) for line in file.read_bytes().splitlines()]


def test_a_line_says_who_did_what_from_where(tmp_path: Path) -> None:
    with closing(Audit(tmp_path / "audit", _BIG)) as audit:
        audit.admitted(_ALICE, "execute", "sb_1", None)
        audit.refused(_ALICE, "close_terminal", None, "tm_1", Forbidden("secret text"))
        audit.refused(_ALICE, "close_terminal", None, "tm_2", NotFound("secret text"))
        audit.unauthenticated("192.0.2.8", "expired")
    first, second, third, fourth = _lines(tmp_path / "audit")
    assert first["seq"] == 1
    assert {name: first[name] for name in ("operation", "subject", "role", "tenant", "credential", "address", "sandbox", "decision")} == {
        "operation": "execute",
        "subject": "alice",
        "role": "developer",
        "tenant": "t",
        "credential": "key:abc",
        "address": "192.0.2.7",
        "sandbox": "sb_1",
        "decision": "allowed",
    }
    assert (second["decision"], second["code"], second["id"]) == ("denied", "FORBIDDEN", "tm_1")
    assert (third["decision"], third["code"]) == ("failed", "NOT_FOUND")
    assert (fourth["operation"], fourth["address"], fourth["code"]) == ("authenticate", "192.0.2.8", "UNAUTHENTICATED")
    assert b"secret text" not in b"".join(file.read_bytes() for file in segments(tmp_path / "audit"))
    (file,) = segments(tmp_path / "audit")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_whatever_a_caller_sends_is_one_short_line(tmp_path: Path) -> None:
    hostile = '\n{"seq":9}\0\ud800"\\' + "\U0001f600" * 10_000
    with closing(Audit(tmp_path, _BIG)) as audit:
        audit.admitted(Caller(hostile, hostile, hostile, hostile, credential=hostile, address=hostile, acting=hostile), "execute", hostile, hostile)
        audit.admitted(_ALICE, "execute", None, None)
    found = verify(tmp_path)
    assert (found.lines, found.wrong) == (2, None)


def test_any_changed_byte_is_found(tmp_path: Path) -> None:
    _write(tmp_path, 4)
    (file,) = segments(tmp_path)
    right = file.read_bytes()
    chance = random.Random(4)
    for at in range(len(right)):
        wrong = bytearray(right)
        wrong[at] ^= 1 << chance.randrange(8)
        file.write_bytes(wrong)
        found = verify(tmp_path)
        assert found.wrong is not None, (at, bytes(wrong))
        assert found.lines == right[:at].count(b"\n")


def _swap(lines: list[bytes], at: int) -> None:
    lines[at], lines[at + 1] = lines[at + 1], lines[at]


_CHANGES: dict[str, Callable[[list[bytes], int], object]] = {
    "removed": lambda lines, at: lines.pop(at),
    "swapped": _swap,
    "doubled": lambda lines, at: lines.insert(at, lines[at]),
    "joined": lambda lines, at: lines.__setitem__(at, lines[at][: len(lines[at]) // 2]),
    "shortened": lambda lines, at: lines.__setitem__(at, lines[at][: len(lines[at]) // 2] + b"\n"),
    "empty": lambda lines, at: lines.insert(at, b"\n"),
    "foreign": lambda lines, at: lines.insert(at, b"{}\n"),
    "long": lambda lines, at: lines.insert(at, b"x" * 100_000 + b"\n"),
    "deep": lambda lines, at: lines.insert(at, b"[" * 30_000 + b"\n"),
}


@pytest.mark.parametrize("change", _CHANGES.values(), ids=_CHANGES.keys())
def test_lines_are_missed_and_foreign_ones_found(tmp_path: Path, change: Callable[[list[bytes], int], object]) -> None:
    _write(tmp_path, 6)
    (file,) = segments(tmp_path)
    right = file.read_bytes().splitlines(keepends=True)
    for at in range(5):
        lines = list(right)
        change(lines, at)
        file.write_bytes(b"".join(lines))
        found = verify(tmp_path)
        assert found.wrong is not None
        assert found.lines in (at, at + 1)


def test_the_chain_goes_on_over_restarts_and_files(tmp_path: Path) -> None:
    for _ in range(4):
        _write(tmp_path, 10, 4096)
    files = segments(tmp_path)
    assert len(files) > 2
    assert all(file.stat().st_size <= 4096 for file in files)
    found = verify(tmp_path)
    assert (found.lines, found.first, found.last, found.wrong) == (40, 1, 40, None)
    middle = verify(files[1])
    assert middle.wrong is None
    assert middle.first > 1


def test_processes_that_write_at_once_make_one_chain_that_is_right_at_any_moment(tmp_path: Path) -> None:
    path = os.pathsep.join((str(Path(sandql.__file__).parents[1]), str(Path(__file__).parents[2])))
    command = [sys.executable, "-m", "tests.access.audit_writer", str(tmp_path / "audit"), "300"]
    writers = [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}) for _ in range(4)]
    try:
        with closing(Audit(tmp_path / "audit", 8192)) as audit:
            while any(writer.poll() is None for writer in writers):
                audit.admitted(_ALICE, "execute", None, None)
                assert verify(tmp_path / "audit").wrong is None
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert [writer.returncode for writer in writers] == [0] * 4
    found = verify(tmp_path / "audit")
    lines = _lines(tmp_path / "audit")
    assert (found.wrong, found.lines, found.last) == (None, len(lines), len(lines))
    assert sum(line["operation"] == "write_file" for line in lines) == 4 * 300
    assert {line["operation"] for line in lines} == {"write_file", "execute"}, "nothing was lost, and nothing had to be mended"


def test_who_is_killed_in_the_middle_of_a_line_stops_nobody(tmp_path: Path) -> None:
    with closing(Audit(tmp_path, 4096)) as one, closing(Audit(tmp_path, 4096)) as other:
        for number in range(40):
            (one if number % 3 else other).admitted(_ALICE, "execute", f"sb_{number}", None)
            if number % 10 == 5:
                with segments(tmp_path)[-1].open("ab") as file:
                    file.write(b'{"seq":')
    found = verify(tmp_path)
    assert (found.lines, found.wrong) == (44, None)
    assert [line["sandbox"] for line in _lines(tmp_path) if line["operation"] == "execute"] == [f"sb_{number}" for number in range(40)]


@pytest.mark.parametrize("required", [False, True])
def test_who_is_stopped_in_its_turn_is_not_waited_for(tmp_path: Path, required: bool) -> None:
    with closing(Audit(tmp_path, _BIG, required=required)) as audit:
        folder_fd = open_folder(tmp_path)
        with audit_turn(folder_fd):
            if required:
                with pytest.raises(ResourceError):
                    audit.admitted(_ALICE, "execute", None, None)
            else:
                audit.admitted(_ALICE, "execute", None, None)
        os.close(folder_fd)
        audit.admitted(_ALICE, "execute", "sb_after", None)
    assert [line["operation"] for line in _lines(tmp_path)] == ["audit.gap", "execute"]


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_is_gone_is_missed(tmp_path: Path, which: int) -> None:
    _write(tmp_path, 40, 4096)
    segments(tmp_path)[which].unlink()
    assert verify(tmp_path).wrong is not None


def test_a_torn_last_line_is_cut_off_and_noted(tmp_path: Path) -> None:
    _write(tmp_path, 3)
    (file,) = segments(tmp_path)
    whole = file.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for torn in (1, 20, len(last) - 1):
        file.write_bytes(whole + last[:torn])
        assert verify(tmp_path).wrong is not None
        _write(tmp_path, 1)
        found = verify(tmp_path)
        assert (found.lines, found.wrong) == (5, None)
        note = _lines(tmp_path)[3]
        assert (note["operation"], note["bytes"]) == ("audit.mended", torn)


def test_a_file_that_was_begun_when_the_server_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    _write(tmp_path, 3)
    for begun in (b"", b'{"seq":4,"ti'):
        (tmp_path / "audit-000000000004.jsonl").write_bytes(begun)
        _write(tmp_path, 1)
        found = verify(tmp_path)
        assert found.wrong is None, begun
        assert found.lines >= 4
        (tmp_path / "audit-000000000004.jsonl").unlink()


def test_a_log_whose_end_was_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    _write(tmp_path, 3)
    (file,) = segments(tmp_path)
    file.write_bytes(file.read_bytes().replace(b"alice", b"mallo"))
    with pytest.raises(SettingsError, match="SANDQL_AUDIT"):
        Audit(tmp_path, _BIG)


@pytest.mark.parametrize("required", [False, True])
def test_a_full_disk_leaves_no_torn_line_and_no_other_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, required: bool) -> None:
    real = os.write
    room = [0]

    def write(fd: int, data: bytes) -> int:  # a full disk takes the beginning, and then nothing
        taken = real(fd, data[: room[0]])
        room[0] = 0
        if not taken:
            raise OSError(28, "No space left on device")
        return taken

    with closing(Audit(tmp_path, _BIG, required=required)) as audit:
        audit.admitted(_ALICE, "execute", None, None)
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", write)
            for left in (0, 30, 0):
                room[0] = left
                if required:
                    with pytest.raises(ResourceError):
                        audit.admitted(_ALICE, "execute", None, None)
                else:
                    audit.admitted(_ALICE, "execute", None, None)
                audit.refused(_ALICE, "execute", None, None, Forbidden(""))
        assert verify(tmp_path).wrong is None
        audit.admitted(_ALICE, "execute", "sb_after", None)
    found = verify(tmp_path)
    assert (found.lines, found.wrong) == (3, None)
    _, gap, after = _lines(tmp_path)
    assert (gap["operation"], gap["lines"]) == ("audit.gap", 6)
    assert after["sandbox"] == "sb_after"
