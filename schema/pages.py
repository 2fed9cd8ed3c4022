"""Pages of what can be long, as the GraphQL cursor connections specification has them."""

from __future__ import annotations

from typing import Annotated

import strawberry

First = Annotated[int, strawberry.argument(description="How many at most.")]
After = Annotated[str | None, strawberry.argument(description="`endCursor` of the page before; the first page when left out.")]


@strawberry.type(description="Whether there is more.")
class PageInfo:
    """See `sandql.store.paging.Page`."""

    has_next_page: bool = strawberry.field(description="Whether there are more behind this page.")
    end_cursor: str | None = strawberry.field(description="What to give as `after` for the next page; null for an empty page.")
