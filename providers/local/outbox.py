"""Packets that are sent in their order, at once or when the socket takes them."""

from __future__ import annotations

import asyncio
import socket
from collections import deque


class Outbox:
    """What is sent on one socket that doesn't block, until `close`. Where nobody is at its other end any more, what is sent is dropped."""

    def __init__(self, to: socket.socket) -> None:
        self._to = to
        self._waiting: deque[bytes] = deque()

    def send(self, packet: bytes) -> None:
        """Send a packet behind all others."""
        if not self._waiting:
            try:
                self._to.send(packet)
                return
            except BlockingIOError:
                asyncio.get_running_loop().add_writer(self._to.fileno(), self._flush)
            except OSError:
                return  # whoever reads the socket is told so too
        self._waiting.append(packet)

    def close(self) -> None:
        """Send nothing more. The socket is the caller's to close, later."""
        if self._waiting:
            self._waiting.clear()
            asyncio.get_running_loop().remove_writer(self._to.fileno())

    def _flush(self) -> None:
        try:
            while self._waiting:
                self._to.send(self._waiting[0])
                self._waiting.popleft()
        except BlockingIOError:
            return
        except OSError:
            self._waiting.clear()
        asyncio.get_running_loop().remove_writer(self._to.fileno())
