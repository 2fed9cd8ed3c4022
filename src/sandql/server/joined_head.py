"""A response's head and the begin of its body, sent together."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Transport
from typing import Any, Final

_HEAD: Final = b"HTTP/1.1 "


class JoinedHead:
    """A transport that holds what begins as a head until more is written, or until the event loop's next turn.

    uvicorn writes a head and a body one after the other, and what is written leaves at once: as two packets, for each of which
    the kernel wakes the client. All but `write` and `close` is the transport's own.
    """

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self.transport = transport
        self._loop = loop
        self._held = b""

    def write(self, data: bytes) -> None:
        """Write, now or soon, in the order of the calls."""
        if self._held:
            held, self._held = self._held, b""
            self.transport.writelines((held, data))
        elif data.startswith(_HEAD):
            self._held = data
            self._loop.call_soon(self._release)
        else:
            self.transport.write(data)

    def close(self) -> None:
        """Close when everything is written."""
        self._release()
        self.transport.close()

    def _release(self) -> None:
        if self._held:
            self.write(b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)
