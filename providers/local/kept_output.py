"""What is kept of a run's output for its result."""

from __future__ import annotations

from typing import Final

from sandql.core.values import Stream

_TAIL: Final = 4096


class KeptOutput:
    """At most `most` bytes of each stream, and the last of stderr, which may say why the program ended."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.parts: dict[Stream, list[bytes]] = {Stream.STDOUT: [], Stream.STDERR: []}
        self.sizes = {Stream.STDOUT: 0, Stream.STDERR: 0}
        self.tail = b""
        self.total = 0
        self.truncated = False

    def add(self, stream: Stream, data: bytes) -> None:
        self.total += len(data)
        room = self.most - self.sizes[stream]
        if stream is Stream.STDERR:
            self.tail = (self.tail + data)[-_TAIL:]
        if len(data) > room:
            self.truncated = True
            data = data[:room]
        if data:
            self.sizes[stream] += len(data)
            self.parts[stream].append(data)

    def bytes_of(self, stream: Stream) -> bytes:
        return b"".join(self.parts[stream])
