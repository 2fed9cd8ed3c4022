"""Whether an audit log is what was written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sandql.access.audit_chain import ORIGIN, Broken, Link, first_seq, lines_of, read_line, segments
from sandql.access.audit_turn import audit_turn, open_folder


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. `first` and `last` are the numbers of the lines that are right, and `hash` is that of the last; `wrong` names the first
    line that is not, None where there is none."""

    lines: int
    first: int
    last: int
    hash: str
    wrong: str | None


def verify(path: Path) -> Verdict:
    """Read a whole log, given its folder, or one file of it by itself; what is written meanwhile is left out.

    Raises:
        OSError: there is none, or it cannot be read.
    """
    link: Link | None = Link() if path.is_dir() else None
    first = lines = 0
    for file, size in _extent(path):
        number = 0
        try:
            for number, line in enumerate(lines_of(file, size), 1):
                read, prev = read_line(line)
                _check_follows(link, read, prev, (first_seq(file) or read.seq) if number == 1 else None)
                link = read
                first = first or read.seq
                lines += 1
        except Broken as error:
            return Verdict(lines, first, *_end(link), f"{file.name}, line {number}: {error}")
    return Verdict(lines, first, *_end(link), None)


def _extent(path: Path) -> list[tuple[Path, int]]:
    """The files to be read and how many bytes of each, at a moment in which nobody is in the middle of a line."""
    folder = path if path.is_dir() else path.parent
    folder_fd = open_folder(folder)
    try:
        with audit_turn(folder_fd, alone=False):
            files = segments(path) if path.is_dir() else [path]
            if not files:
                raise FileNotFoundError(2, "holds no audit log", str(path))
            return [(file, file.stat().st_size) for file in files]
    finally:
        os.close(folder_fd)


def _check_follows(link: Link | None, read: Link, prev: str, named: int | None) -> None:
    if link is None:  # a file by itself: what was before it is not known
        link = Link(read.seq - 1, ORIGIN if read.seq == 1 else prev)
    if read.seq != link.seq + 1:
        raise Broken(f"it is number {read.seq}, and number {link.seq + 1} is missing")
    if prev != link.hash:
        raise Broken("it does not follow the line before: that was another")
    if named is not None and read.seq != named:
        raise Broken(f"it is number {read.seq}, and the file's name says {named}")


def _end(link: Link | None) -> tuple[int, str]:
    return (0, ORIGIN) if link is None else (link.seq, link.hash)
