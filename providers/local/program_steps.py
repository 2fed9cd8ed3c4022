"""How a waiting cell is told to start a program that is not Python: the system calls that write its file and execute it.

The cell makes them as they are, without an interpreter in between: see `cell/steps.py`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence

from sandql.providers.local.cell.steps import AT_FDCWD, OPENS, PLAIN, ROOM_AT, ROOM_BYTES, STEP_BYTES, USES_OPENED, WORD, step

_STEPS = 4


def program_steps(machine: str, file_name: str, code: bytes, argv: Sequence[str], env: Mapping[str, str]) -> bytes | None:
    """The steps behind their size in bytes, or None where they don't fit into the room that a cell has for them."""
    data = bytearray()

    def put(piece: bytes) -> int:
        data.extend(piece)
        return ROOM_AT + _STEPS * STEP_BYTES + len(data) - len(piece)

    def put_strings(strings: Sequence[str]) -> int:
        addresses = [put(os.fsencode(text) + b"\0") for text in strings]
        data.extend(bytes(-len(data) % WORD))
        return put(struct.pack(f"={len(addresses) + 1}Q", *addresses, 0))

    if len(code) > ROOM_BYTES:
        return None
    name = put(os.fsencode(file_name) + b"\0")
    calls = (
        ("openat", (AT_FDCWD, name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o644), OPENS),
        ("write", (0, put(code), len(code)), USES_OPENED),
        ("close", (0,), USES_OPENED),
        ("execve", (put(os.fsencode(argv[0]) + b"\0"), put_strings(argv), put_strings([f"{key}={value}" for key, value in env.items()])), PLAIN),
    )
    words = [word for call, arguments, mark in calls for word in step(call, *arguments, machine=machine, mark=mark)]
    steps = struct.pack(f"={len(words)}Q", *[word & 0xFFFFFFFFFFFFFFFF for word in words]) + data
    return struct.pack("=Q", len(steps)) + steps if WORD + len(steps) <= ROOM_BYTES else None
