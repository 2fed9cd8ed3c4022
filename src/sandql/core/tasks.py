"""What is the same for all work that goes on when whoever asked for it is gone."""

from __future__ import annotations

import asyncio
from typing import Any


def pass_over_error(done: asyncio.Future[Any]) -> None:
    """Take the error of what has ended, or asyncio logs it: it is for whoever asked, who may be gone. For `add_done_callback`."""
    if not done.cancelled():
        done.exception()
