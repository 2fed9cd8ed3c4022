"""Pages of rows, newest first, that stay right while rows come and go: a cursor says behind which row the next page begins."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Column, Select, and_, or_

from sandql.core.errors import BadRequest

Item = TypeVar("Item")
_MOST_CHARS: Final = 256
_CURSOR: Final = re.compile(r"([0-9.e+-]{1,32}) ([A-Za-z0-9_-]{1,64})")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items with the cursor of each, and whether there are more behind them."""

    items: Sequence[Item]
    cursors: Sequence[str]
    has_next: bool

    @property
    def end_cursor(self) -> str | None:
        """The cursor of the last item, None for an empty page."""
        return self.cursors[-1] if self.cursors else None


def cursor_of(moment: float, id_: str) -> str:
    """The cursor of a row; its form is nobody's business."""
    return base64.urlsafe_b64encode(f"{moment!r} {id_}".encode()).decode()


def behind(statement: Select[Any], moment: Column[float], id_: Column[str], after: str | None, first: int) -> Select[Any]:
    """The statement for one row more than the page that begins behind a cursor. Raises BadRequest."""
    if after is not None:
        found = _row_of(after)
        if found is None:
            raise BadRequest(f"after: must be a cursor of the page before, got {after[:64]!r}")
        at, row = found
        statement = statement.where(or_(moment < at, and_(moment == at, id_ < row)))
    return statement.order_by(moment.desc(), id_.desc()).limit(first + 1)


def _row_of(cursor: str) -> tuple[float, str] | None:
    try:
        form = _CURSOR.fullmatch(base64.urlsafe_b64decode(cursor[:_MOST_CHARS].encode()).decode())
        at = math.inf if form is None else float(form[1])
    except (ValueError, binascii.Error):
        return None
    return None if form is None or not math.isfinite(at) else (at, form[2])
