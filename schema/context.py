"""What every field is given: who asks, and where sandboxes are borrowed."""

from __future__ import annotations

from dataclasses import dataclass

import strawberry

from sandql.core.values import Caller
from sandql.sandboxes.borrow import Sandboxes


@dataclass(frozen=True, slots=True)
class Context:
    """Made for one operation, and never shared by two of them."""

    sandboxes: Sandboxes
    caller: Caller
    request_id: str


Info = strawberry.Info[Context, None]
