"""The events of one run on disk: appended as they come, read from any number on, by as many as like.

    <folder>/<number of the first event>.log    segments of records: size of the data, number, kind, the data
    <folder>/completed                          the last event, once there is one

A record is in the file when `append` returns, so it survives the end of this process; only the last event is synced, so those before it may be
lost when power fails. What a crash left half written at the end, or a disk that lost power, is no record with the next number: a reader
stops there, and whoever opens the log again cuts it off.
"""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from typing import Final

from sandql.core.values import Output, Started, Stream

_HEAD: Final = struct.Struct("<IQB")
_STARTED, _STDOUT, _STDERR = range(3)
_KINDS: Final = {Stream.STDOUT: _STDOUT, Stream.STDERR: _STDERR}
_STREAMS: Final = {kind: stream for stream, kind in _KINDS.items()}
_SEGMENT_BYTES: Final = 8 << 20
_READ_BYTES: Final = 256 << 10
_COMPLETED: Final = "completed"


class EventLog:
    """The log of a run that goes on; the only one who writes it. `close` it."""

    def __init__(self, folder: Path, run_id: str, *, again: bool = False) -> None:
        self.folder = folder
        self._fd = -1
        self._segment_bytes = 0
        self.seq = 0
        self.size = 0
        if again:
            self._open_again()
        else:
            folder.mkdir(mode=0o700, parents=True)
            try:
                self.append(Started(1, run_id))
            except OSError:
                self.close()
                shutil.rmtree(folder, ignore_errors=True)
                raise

    def append(self, *events: Started | Output) -> None:
        """Write events, whose numbers follow on the last. Raises OSError: none of them was written."""
        if self._fd < 0 or self._segment_bytes >= _SEGMENT_BYTES:
            self._begin_segment()
        pieces: list[bytes] = []
        for event in events:
            data, kind = (event.data, _KINDS[event.stream]) if isinstance(event, Output) else (event.execution_id.encode(), _STARTED)
            pieces += (_HEAD.pack(len(data), event.seq, kind), data)
        whole = b"".join(pieces)
        written = 0
        try:
            while written < len(whole):
                written += os.write(self._fd, whole[written:] if written else whole)
        except OSError:
            os.ftruncate(self._fd, self._segment_bytes)
            os.lseek(self._fd, self._segment_bytes, os.SEEK_SET)
            raise
        self._segment_bytes += len(whole)
        self.size += len(whole)
        self.seq = events[-1].seq

    def complete(self, last: bytes) -> None:
        """Write the last event, in a form of the caller's. Raises OSError."""
        beside = self.folder / f".{_COMPLETED}"
        with beside.open("wb") as file:
            file.write(last)
            file.flush()
            os.fdatasync(file.fileno())  # or power that fails could leave the name without what is in it
        beside.rename(self.folder / _COMPLETED)

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _begin_segment(self) -> None:
        self.close()
        self._fd = os.open(self.folder / f"{self.seq + 1:015d}.log", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._segment_bytes = 0

    def _open_again(self) -> None:
        reader = LogReader(self.folder, 0)
        while events := reader.read():
            self.seq = events[-1].seq
        if (path := reader.path) is not None:
            for later in _segments(self.folder):
                if later > path:
                    later.unlink()
            self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            os.ftruncate(self._fd, reader.at)
            os.lseek(self._fd, reader.at, os.SEEK_SET)
            self._segment_bytes = reader.at


class LogReader:
    """Reads a log from behind an event on, a piece at a time, while it may still be written. Its calls block, shortly."""

    def __init__(self, folder: Path, after: int) -> None:
        self._folder = folder
        self._after = after
        self._next = 0  # the number of the record at `at`
        self._dead_end = -1  # the size that the segment had when there was no next record in it, though there is a segment behind it
        self.path: Path | None = None
        self.at = 0

    def read(self) -> list[Started | Output]:
        """The next events; none where there are no more at the moment. Raises FileNotFoundError: the log was removed."""
        while True:
            if self.path is None and not self._find_segment():
                return []
            events = self._read_here()
            if events or not self._go_on():
                return events

    def _find_segment(self) -> bool:
        """Begin in the segment in which the next event is."""
        segments = _segments(self._folder)
        if not segments:
            return False
        self._begin(max((path for path in segments if _first(path) <= self._after + 1), default=segments[0]))
        return True

    def _begin(self, path: Path) -> None:
        self.path, self.at, self._next = path, 0, _first(path)

    def _go_on(self) -> bool:
        """Whether there is a segment behind this one, which is then the one."""
        assert self.path is not None
        later = [path for path in _segments(self._folder) if path > self.path]
        if not later:
            return False
        if _first(later[0]) == self._next:
            self._begin(later[0])
            return True
        size = os.stat(self.path).st_size
        grown, self._dead_end = size not in (self.at, self._dead_end), size  # it grew before the next one was begun
        return grown

    def _read_here(self) -> list[Started | Output]:
        assert self.path is not None
        found: list[Started | Output] = []
        with self.path.open("rb", buffering=0) as file:
            longer = 0  # than a piece: the size of a record
            while not found:
                file.seek(self.at)
                data = file.read(longer or _READ_BYTES)
                at = self._take(data, found)
                if not at and (longer or len(data) < _READ_BYTES):
                    return found  # half a record, or nothing
                self.at += at
                longer = 0 if at else _HEAD.size + _HEAD.unpack_from(data)[0]
        return found

    def _take(self, data: bytes, found: list[Started | Output]) -> int:
        """Take the whole records of a piece; returns their size."""
        at = 0
        while len(data) - at >= _HEAD.size:
            size, seq, kind = _HEAD.unpack_from(data, at)
            begin = at + _HEAD.size
            if len(data) - begin < size or seq != self._next or kind > _STDERR:
                break
            at = begin + size
            self._next += 1
            if seq > self._after:
                body = data[begin:at]
                found.append(Started(seq, body.decode()) if kind == _STARTED else Output(seq, _STREAMS[kind], body))
        return at


def completed(folder: Path) -> bytes | None:
    """What was given to `complete` in the log of that folder, or None."""
    try:
        return (folder / _COMPLETED).read_bytes()
    except FileNotFoundError:
        return None


def size_of(folder: Path) -> int:
    """How many bytes a log takes."""
    return sum(entry.stat().st_size for entry in os.scandir(folder))


def whole_characters(held: bytes, data: bytes) -> tuple[bytes, bytes]:
    """What was held back with what came, without a UTF-8 character that is cut at its end; and that beginning of one, to hold back."""
    whole = held + data
    for back in range(1, min(4, len(whole) + 1)):
        byte = whole[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return (whole[:-back], whole[-back:]) if length > back and byte <= 0xF4 else (whole, b"")
    return whole, b""


def _segments(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix == ".log")


def _first(path: Path) -> int:
    return int(path.stem)
