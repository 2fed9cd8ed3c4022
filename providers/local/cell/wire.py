"""How the server, the supervisor, the zygotes and the cells speak: marshalled tuples, framed by length on pipes.

marshal reads and writes plain values without imports or code of ours; every writer of these messages is trusted code.
"""

from __future__ import annotations

import marshal
import os

TYPE_CHECKING = False  # typing itself is not imported in a cell
if TYPE_CHECKING:
    from typing import Any

_LENGTH = 4
BIND_NOW = "LD_BIND_NOW"  # a zygote's libraries are bound at its start, so that no cell has to bind them
MAX_PACKET = 64 * 1024
CONTROL_FD = 3  # a zygote's socket to its supervisor
FORK_FD = 3  # a template's socket to its zygote
CELLS_FD = 4  # a zygote's and its template's socket to the server, on which parked cells announce themselves
STATUS_FD = 3  # in a cell: where the zygote, and before it a compile step, says how things went
ANNOUNCED = 512  # most bytes of an announcement


def frame(message: tuple[Any, ...]) -> bytes:
    """A message as bytes for a pipe."""
    data = marshal.dumps(message)
    return len(data).to_bytes(_LENGTH, "little") + data


def read_frame(fd: int) -> tuple[Any, ...] | None:
    """The next message from a pipe, or None at its end; blocks."""
    head = _read_exactly(fd, _LENGTH)
    if len(head) < _LENGTH:
        return None
    size = int.from_bytes(head, "little")
    data = _read_exactly(fd, size)
    return marshal.loads(data) if len(data) == size else None


def split_frames(data: bytes) -> tuple[list[tuple[Any, ...]], bytes]:
    """All whole messages in `data`, and the rest."""
    messages: list[tuple[Any, ...]] = []
    start = 0
    while len(data) - start >= _LENGTH:
        end = start + _LENGTH + int.from_bytes(data[start : start + _LENGTH], "little")
        if end > len(data):
            break
        messages.append(marshal.loads(data[start + _LENGTH : end]))
        start = end
    return messages, data[start:]


def _read_exactly(fd: int, size: int) -> bytes:
    data = os.read(fd, size)
    if len(data) == size or not data:
        return data
    parts = [data]
    missing = size - len(data)
    while missing:
        data = os.read(fd, min(missing, 1 << 20))
        if not data:
            break
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


def pack(message: tuple[Any, ...] | dict[str, Any]) -> bytes:
    """A message as one packet for a socket."""
    return marshal.dumps(message)


def unpack(data: bytes) -> Any:
    """The message of one packet."""
    return marshal.loads(data)
