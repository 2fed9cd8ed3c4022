"""The last of what a terminal showed, with the position of each byte since its begin."""

from __future__ import annotations


class Scrollback:
    """Keeps the last `most` bytes, in as much memory however small the pieces are. `end` is how many bytes there were in all."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = bytearray()
        self.end = 0

    @property
    def begin(self) -> int:
        """The position of the first byte that is kept."""
        return self.end - len(self._kept)

    def append(self, data: bytes) -> None:
        """Add what comes; the oldest bytes go."""
        self._kept += data
        self.end += len(data)
        del self._kept[: max(0, len(self._kept) - self._most)]

    def read(self, at: int, most: int) -> bytes:
        """At most `most` bytes from a position on that is kept."""
        begin = at - self.begin
        return bytes(self._kept[begin : begin + most])
