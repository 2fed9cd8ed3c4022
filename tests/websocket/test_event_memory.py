"""A subscription takes no more memory the longer it lasts."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator
from contextlib import aclosing

from sandql.core.settings import load_settings
from sandql.core.values import Caller
from sandql.schema.context import Context
from sandql.server.graphql_execution import GraphQL
from tests.support.twin import open_twin

# Many small events, of a provider that runs no code: what is measured is the GraphQL layer.
_DOCUMENT = """subscription {
  executeCode(code: "flood 4000 16", language: "python") {
    __typename
    ... on ExecutionOutput { seq text }
  }
}"""


async def test_events_that_were_sent_leave_nothing_behind() -> None:
    settings = load_settings()
    graphql = GraphQL(settings)
    async with open_twin(settings) as sandboxes:
        results = graphql.run(graphql.prepare(_DOCUMENT, None, Caller()), None, Context(sandboxes, Caller(), "test"))
        async with aclosing(results):
            await _take(results, 500)
            before = _objects()
            await _take(results, 3000)
            assert _objects() - before < 300


async def _take(results: AsyncGenerator[object], number: int) -> None:
    for _ in range(number):
        await anext(results)


def _objects() -> int:
    gc.collect()
    return len(gc.get_objects())
