"""The log of a run: what was appended is read back, from any number on, also after a crash."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandql.core.values import Output, Started, Stream
from sandql.sandboxes import event_log
from sandql.sandboxes.event_log import EventLog, LogReader, whole_characters
from tests.support.engine import open_descriptors

pytestmark = pytest.mark.unit


def outputs(*data: bytes) -> list[Output]:
    return [Output(number, Stream.STDOUT if number % 3 else Stream.STDERR, piece) for number, piece in enumerate(data, 2)]


def read_all(folder: Path, after: int) -> list[Started | Output]:
    reader, found = LogReader(folder, after), list[Started | Output]()
    while events := reader.read():
        found += events
    return found


@settings(deadline=None, max_examples=60)
@given(pieces=st.lists(st.binary(max_size=300), max_size=40), after=st.integers(0, 45), segment=st.integers(1, 2000), piece=st.integers(20, 500))
def test_any_part_is_read_back(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], after: int, segment: int, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_log, "_SEGMENT_BYTES", segment)
        patch.setattr(event_log, "_READ_BYTES", piece)
        folder = tmp_path_factory.mktemp("log") / "ex"
        log = EventLog(folder, "ex_1")
        events: list[Started | Output] = [Started(1, "ex_1"), *outputs(*pieces)]
        for event in events[1:]:
            log.append(event)
        log.close()
        assert read_all(folder, after) == events[after:]


def test_a_reader_goes_on_with_what_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "_SEGMENT_BYTES", 50)
    log = EventLog(tmp_path / "ex", "ex_1")
    reader, seen = LogReader(log.folder, 0), list[int]()
    for event in outputs(*[b"x" * 20] * 30):
        log.append(event)
        while events := reader.read():
            seen += [item.seq for item in events]
    log.close()
    assert seen == list(range(1, 32))


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_what_a_crash_left_half_written_is_cut_off(tmp_path: Path, cut: int) -> None:
    log = EventLog(tmp_path / "ex", "ex_1")
    log.append(*outputs(b"first", b"second " * 4))
    log.close()
    (segment,) = log.folder.iterdir()
    os.truncate(segment, segment.stat().st_size - cut)
    again = EventLog(log.folder, "ex_1", again=True)
    kept = again.seq
    assert kept == 2, "the first output is whole, the second is not"
    again.append(Output(kept + 1, Stream.STDOUT, b"after"))
    again.close()
    found = read_all(log.folder, 0)
    assert [event.seq for event in found] == [1, 2, 3]
    assert found[-1] == Output(3, Stream.STDOUT, b"after")


@pytest.mark.parametrize("garbage", [bytes(40), b"\xff" * 40, struct.pack("<IQB", 5, 4, 9) + b"hello", struct.pack("<IQB", 5, 9, 1) + b"hello"])
def test_what_a_disk_without_power_left_is_no_event(tmp_path: Path, garbage: bytes) -> None:
    log = EventLog(tmp_path / "ex", "ex_1")
    log.append(*outputs(b"first", b"second"))
    log.close()
    (segment,) = log.folder.iterdir()
    with segment.open("ab") as file:
        file.write(garbage)
    (log.folder / "000000000000009.log").write_bytes(garbage)
    assert [event.seq for event in read_all(log.folder, 0)] == [1, 2, 3]
    again = EventLog(log.folder, "ex_1", again=True)
    again.append(Output(again.seq + 1, Stream.STDOUT, b"after"))
    again.close()
    assert [event.seq for event in read_all(log.folder, 0)] == [1, 2, 3, 4]


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog(tmp_path / "ex", "ex_1")
    write = os.write

    def fail(fd: int, data: bytes) -> int:
        write(fd, data[:7])
        raise OSError(errno.ENOSPC, "the disk is full")

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(OSError, match="full"):
        log.append(*outputs(b"lost"))
    monkeypatch.setattr(os, "write", write)
    log.append(*outputs(b"kept"))
    log.close()
    assert read_all(log.folder, 1) == outputs(b"kept")


def test_a_log_that_was_removed_is_gone(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "ex", "ex_1")
    log.close()
    reader = LogReader(log.folder, 0)
    assert reader.read()
    for path in log.folder.iterdir():
        path.unlink()
    log.folder.rmdir()
    with pytest.raises(FileNotFoundError):
        reader.read()


@settings(deadline=None)
@given(text=st.text(max_size=60), cuts=st.lists(st.integers(0, 240), max_size=12))
def test_no_character_is_cut(text: str, cuts: list[int]) -> None:
    data, held, parts = text.encode("utf-8", "replace"), b"", list[bytes]()
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        whole, held = whole_characters(held, data[begin:end])
        parts.append(whole)
    assert b"".join(parts) + held == data
    assert held == b"" or not data, "valid text ends with a whole character"
    for part in parts:
        part.decode()


@settings(deadline=None)
@given(pieces=st.lists(st.binary(max_size=12), max_size=12))
def test_bytes_that_are_no_text_lose_nothing(pieces: list[bytes]) -> None:
    held, parts = b"", list[bytes]()
    for piece in pieces:
        whole, held = whole_characters(held, piece)
        assert len(held) <= 3
        parts.append(whole)
    assert b"".join(parts) + held == b"".join(pieces)


def test_a_log_that_cannot_be_begun_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "played")

    before = open_descriptors()
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="played"):
        EventLog(tmp_path / "ex", "ex_1")
    monkeypatch.undo()
    assert open_descriptors() == before
    assert list(tmp_path.iterdir()) == []
