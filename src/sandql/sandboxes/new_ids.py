"""Ids that nobody guesses, safe in a URL."""

from __future__ import annotations

import re
import secrets
from typing import Final

_BYTES: Final = 20
_FORM: Final = re.compile(r"[a-z]{2}_[A-Za-z0-9_-]{1,60}")


def is_id(text: str) -> bool:
    """Whether a text has the form of an id: the rest need not be looked for, and a database may not even take it."""
    return _FORM.fullmatch(text) is not None


def sandbox_id() -> str:
    """The id of a kept sandbox."""
    return "sb_" + secrets.token_urlsafe(_BYTES)


def execution_id() -> str:
    """The id of a run."""
    return "ex_" + secrets.token_urlsafe(_BYTES)


def terminal_id() -> str:
    """The id of a terminal."""
    return "tm_" + secrets.token_urlsafe(_BYTES)


def context_id() -> str:
    """The id of a context."""
    return "cx_" + secrets.token_urlsafe(_BYTES)
