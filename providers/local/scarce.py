"""What the operating system has run out of, said as an error of the house."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from errno import EAGAIN, EDQUOT, EFBIG, EMFILE, ENFILE, ENOMEM, ENOSPC
from typing import Final

from sandql.core.errors import ResourceError

_RETRY_S: Final = 1.0
_WORDS: Final = {
    EMFILE: "no file descriptor is left",
    ENFILE: "no file descriptor is left",
    ENOMEM: "no memory is left",
    EAGAIN: "no process is left",
    ENOSPC: "the disk is full",
    EDQUOT: "the disk is full",
    EFBIG: "a file may not be that large",
}


@contextmanager
def scarce(what: str) -> Generator[None]:
    """Turn an error that says that something has run out into ResourceError; `what` is what could not be had."""
    try:
        yield
    except OSError as error:
        words = _WORDS.get(error.errno or 0)
        if words is None:
            raise
        raise ResourceError(f"{what} cannot be used now: {words} on this machine; try again later", retry_after_s=_RETRY_S) from None
