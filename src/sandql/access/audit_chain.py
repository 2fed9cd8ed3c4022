"""The form of the audit log: lines of JSON of which each holds the hash of the one before. Writing, reading and verifying share it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ORIGIN: Final = "0" * 64  # what stands for the hash before the first line
MAX_LINE_BYTES: Final = 32 * 1024

_TAIL: Final = re.compile(rb',"hash":"([0-9a-f]{64})"\}\Z')
_TAIL_BYTES: Final = 75
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode  # `json.dumps` makes an encoder each time
_SEGMENT: Final = re.compile(r"audit-(\d{12})\.jsonl\Z")


class Broken(Exception):
    """A line is not what was written; the message says in which way."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where a chain is: the number and the hash of its last line."""

    seq: int = 0
    hash: str = ORIGIN


def write_line(link: Link, values: Mapping[str, object]) -> tuple[bytes, Link]:
    """The next line with these values, and where the chain is with it."""
    seq = link.seq + 1
    body = _encode({"seq": seq, **values, "prev": link.hash}).encode()
    digest = hashlib.sha256(body).hexdigest()
    return b'%s,"hash":"%s"}\n' % (body[:-1], digest.encode()), Link(seq, digest)


def read_line(line: bytes) -> tuple[Link, str]:
    """The number and the hash of a line with its newline, and the hash of the one before as it says. Raises Broken."""
    if not line.endswith(b"\n"):
        raise Broken("it is cut off, or too long")
    line = line[:-1]
    tail = _TAIL.search(line[-_TAIL_BYTES - 1 :])
    if tail is None:
        raise Broken("it does not end with its hash")
    digest = tail[1].decode()
    body = line[: -(len(tail[0]))] + b"}"
    if hashlib.sha256(body).hexdigest() != digest:
        raise Broken("it was changed: its hash is another")
    try:
        values: Any = json.loads(body)
        seq, prev = values["seq"], values["prev"]
    except (ValueError, RecursionError, TypeError, KeyError):
        raise Broken("it has no number, or not the hash of the line before") from None
    return Link(int(seq), digest), str(prev)


def segment_name(first_seq: int) -> str:
    """The name of the file whose first line has this number."""
    return f"audit-{first_seq:012}.jsonl"


def segments(folder: Path) -> list[Path]:
    """The files of an audit log, oldest first. Raises OSError."""
    return sorted(path for path in folder.iterdir() if _SEGMENT.match(path.name))


def first_seq(segment: Path) -> int | None:
    """The number that the first line of a file has, as its name says; None for a file of another name."""
    named = _SEGMENT.match(segment.name)
    return None if named is None else int(named[1])


def lines_of(segment: Path, size: int) -> Iterator[bytes]:
    """The lines in the first bytes of a file with their newlines; a line that is too long comes in pieces. Raises OSError."""
    with segment.open("rb") as file:
        while line := file.readline(min(MAX_LINE_BYTES + 1, size)):
            size -= len(line)
            yield line
