"""Plain fields are read on a short way, and what comes of it is what graphql-core answers by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from graphql import (
    ExecutionResult,
    Executor,
    GraphQLObjectType,
    GraphQLSchema,
    execute,  # pyright: ignore[reportUnknownVariableType]  (a parameter that is not used here has no type)
    parse,
)

from sandql.core import values
from sandql.schema.build import core_schema
from sandql.schema.execution import execution_result
from sandql.schema.files import file_content
from sandql.server.event_executor import EventExecutor
from sandql.server.plain_fields import PlainFieldsExecutor

pytestmark = pytest.mark.unit

# The schema of a server whose root is a run.
RUNS = GraphQLSchema(query=cast(GraphQLObjectType, core_schema.type_map["ExecutionResult"]))
DOCUMENT = parse("""{
  __typename id text: output stderr executionTime success outcome exitCode signal truncated cpuTime peakMemory provider language sandboxId
  error { code message } isolation { level namespaces seccomp landlock } compilation { success output time } artifacts { path content encoding size }
}""")
RUN = execution_result(
    values.Execution(
        id="ex_1",
        outcome=values.Outcome.FAILED,
        exit_code=1,
        signal=None,
        stdout=b"out",
        stderr=b"",
        truncated=False,
        wall_ms=3,
        cpu_ms=0,
        peak_memory_kib=9,
        provider="local",
        language="python",
        sandbox_id=None,
        isolation=values.Isolation("full", ("user", "pid"), True, 6, "v2", "loopback"),
        artifacts=(values.FileContent("a", b"\xff"),),
        problem=values.Problem("TIMED_OUT", "too long"),
    )
)


def answer(executor: type[Executor[Any]], run: object) -> ExecutionResult:
    result = execute(RUNS, DOCUMENT, root_value=run, executor_class=executor)
    assert isinstance(result, ExecutionResult)
    return result


@pytest.mark.parametrize("executor", [PlainFieldsExecutor, EventExecutor])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"stderr": None, "cpu_time": None},
        {"cpu_time": 1 << 40},  # more than an Int: null, and an error that says where
        {"execution_time": 1 << 40},  # the same, where null may not be: no data at all
        {"output": None},
        {"outcome": "FINE"},
    ],
)
def test_the_short_way_leads_where_the_long_one_does(executor: type[Executor[Any]], change: dict[str, Any]) -> None:
    run = replace(RUN, **change)
    expected = answer(Executor, run)
    given = answer(executor, run)
    assert given.data == expected.data
    assert [error.formatted for error in given.errors or []] == [error.formatted for error in expected.errors or []]
    assert bool(given.errors) == (change not in ({}, {"stderr": None, "cpu_time": None}))


def test_an_attribute_that_is_not_there_is_an_error() -> None:
    given = answer(PlainFieldsExecutor, object())
    assert given.data is None
    assert given.errors


@pytest.mark.parametrize("fields", ["path size", "size __typename name: path", "path artifacts", "__typename"])
@pytest.mark.parametrize("sizes", [[], [1, 2], [1, 1 << 40], [None, 1]])
def test_a_list_of_plain_objects_is_completed_as_in_the_long_way(fields: str, sizes: list[Any]) -> None:
    run = replace(RUN, artifacts=[replace(file_content(values.FileContent(f"f{at}", b"")), size=size) for at, size in enumerate(sizes)])
    document = parse(f"{{ artifacts {{ {fields.replace('artifacts', '... on FileContent { encoding }')} }} }}")
    given, expected = (execute(RUNS, document, root_value=run, executor_class=executor) for executor in (PlainFieldsExecutor, Executor))
    assert isinstance(given, ExecutionResult)
    assert isinstance(expected, ExecutionResult)
    assert (given.data, given.data and [list(row) for row in given.data["artifacts"]]) == (
        expected.data,
        expected.data and [list(row) for row in expected.data["artifacts"]],
    )
    assert [error.formatted for error in given.errors or []] == [error.formatted for error in expected.errors or []]
