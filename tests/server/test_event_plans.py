"""Events of which only plain fields are asked are answered on a short way, with what graphql-core answers by itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

import pytest
from graphql import ExecutionResult

from sandql.core.settings import load_settings
from sandql.core.values import Caller
from sandql.schema.build import core_schema
from sandql.schema.context import Context
from sandql.schema.events import ExecutionCompleted, ExecutionOutput, ExecutionStarted
from sandql.server.event_executor import EventExecutor
from sandql.server.event_plans import EventPlans
from sandql.server.graphql_execution import GraphQL
from tests.server.test_plain_fields import RUN
from tests.support.twin import open_twin

pytestmark = pytest.mark.unit

EVENTS = [
    ExecutionStarted(seq=1, id=cast(Any, "ex_1")),
    ExecutionOutput(seq=2, stream=cast(Any, "STDOUT"), text="out ☃"),
    ExecutionOutput(seq=2**40, stream=cast(Any, "STDERR"), text=""),  # a number that Int cannot hold: an error of its field
    ExecutionOutput(seq=3, stream=cast(Any, "NEITHER"), text="a"),
    ExecutionOutput(seq=4, stream=cast(Any, "STDERR"), text=cast(Any, None)),
    ExecutionCompleted(seq=5, result=RUN),
    ExecutionCompleted(seq=6, result=replace(RUN, stderr=None)),
]
SELECTIONS = [
    "__typename",
    "__typename ... on ExecutionStarted { seq id } ... on ExecutionOutput { seq stream text } ... on ExecutionCompleted { seq }",
    "kind: __typename ... on ExecutionOutput { at: seq again: seq text __typename }",
    "... on ExecutionOutput { text } ... on ExecutionOutput { seq text } ...Part",
    "... on ExecutionOutput @include(if: $yes) { text } ... on ExecutionOutput { seq @skip(if: $yes) stream }",
    "... on ExecutionCompleted { seq result { outcome exitCode stderr isolation { level } } }",
]


def execution(selection: str) -> EventExecutor:
    fragment = "fragment Part on ExecutionOutput { stream }" if "Part" in selection else ""
    yes = "($yes: Boolean! = true)" if "$yes" in selection else ""
    graphql = GraphQL(load_settings())
    operation = graphql.prepare(f'subscription {yes} {{ executionEvents(id: "ex_1") {{ {selection} }} }} {fragment}', None, Caller())
    built = EventExecutor.build(core_schema, operation.document)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    assert not isinstance(built, list)
    return cast(EventExecutor, built)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_plan_answers_as_graphql_core_does(selection: str) -> None:
    executor = execution(selection)
    plans = EventPlans(executor)
    planned = 0
    for event in EVENTS * 2:
        answered = executor.build_per_event_executor(event).execute_operation(serially=False)
        assert isinstance(answered, ExecutionResult)
        data = plans.answer(event)
        if data is not None:
            planned += 1
            assert (data, answered.errors) == (answered.data, None)
            assert repr(data) == repr(answered.data), "the fields are in the same order"
        else:
            assert answered.errors or "result" in selection
    assert planned


def test_no_plan_is_made_where_something_must_be_done() -> None:
    plans = EventPlans(execution("... on ExecutionCompleted { seq result { outcome } }"))
    assert plans.answer(EVENTS[-1]) is None
    assert plans.answer(EVENTS[0]) == {"executionEvents": {}}
    assert plans.answer("no event at all") is None


async def test_errors_of_single_events_do_not_end_the_others() -> None:
    async def take(results: AsyncGenerator[dict[str, Any]]) -> list[dict[str, Any]]:
        async with aclosing(results):
            return [result async for result in results]

    settings = load_settings()
    graphql = GraphQL(settings)
    async with open_twin(settings) as sandboxes:
        document = 'subscription { executeCode(code: "out a\\nhex ff", language: "python") { __typename ... on ExecutionOutput { seq text } } }'
        results = await take(graphql.run(graphql.prepare(document, None, Caller()), None, Context(sandboxes, Caller(), "test")))
    assert [result["data"]["executeCode"]["__typename"] for result in results] == ["ExecutionStarted", *["ExecutionOutput"] * 2, "ExecutionCompleted"]
    assert results[2]["data"]["executeCode"]["text"] == "�"
