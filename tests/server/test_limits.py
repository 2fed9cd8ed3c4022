"""What a document may ask for at most; a document that asks for more is refused before anything is done for it."""

from __future__ import annotations

import time

import pytest
from graphql import get_introspection_query

from tests.server.conftest import Post
from tests.support.twin_server import TwinServer

RUN = 'executeCode(code: "out 1", language: "script") { success }'


def refused(served: TwinServer, post: Post, query: str, word: str) -> None:
    """The document is refused as too costly, quickly, and nothing was run."""
    runs, start = served.twin.runs, time.perf_counter()
    response = post(query)
    assert time.perf_counter() - start < 1.0
    (error,) = response.json()["errors"]
    assert error["extensions"] == {"code": "QUERY_TOO_COSTLY", "status": 400}
    assert word in error["message"]
    assert response.status_code == 400
    assert served.twin.runs == runs


def test_500_aliases_cost_nothing(served: TwinServer, post: Post) -> None:
    refused(served, post, "mutation {" + " ".join(f"a{number}: {RUN}" for number in range(500)) + "}", "tokens")


def test_aliases_have_a_bound(served: TwinServer, post: Post) -> None:
    many = " ".join(f"a{number}: __typename" for number in range(served.settings.query_aliases + 1))
    refused(served, post, "{" + many + "}", "aliases at most 15, got 16")
    refused(served, post, "query { ...F } fragment F on Query { ... on Query {" + many + "} }", "aliases")
    allowed = " ".join(f"a{number}: {RUN}" for number in range(served.settings.query_aliases))
    assert len(post("mutation {" + allowed + "}").json()["data"]) == served.settings.query_aliases


def test_depth_has_a_bound(served: TwinServer, post: Post) -> None:
    def nested(depth: int) -> str:
        return "{ providers " + "{ languages " * (depth - 2) + "{ name }" + "}" * (depth - 1)

    refused(served, post, nested(11), "depth at most 10, got 11")
    refused(served, post, "{ ...A } fragment A on Query { providers { ...B } } fragment B on Provider " + nested(10), "depth")
    assert "depth" not in post(nested(10)).text


@pytest.mark.parametrize(
    "query",
    [
        "{ sandboxes(first: 100) { nodes { files { path } } } }",
        "query ($n: Int!) { sandboxes(first: $n) { nodes { files { path } } } }",
        "{ sandboxes { nodes { executions { nodes { result { output } } } } } }",
        "{ executions(first: 100) { edges { node { events(first: 10000) { __typename } } } } }",
        "{ sandboxes(first: 999999999999) { ...F } } fragment F on SandboxConnection { nodes { files { path } } }",
    ],
)
def test_what_is_done_for_each_item_costs_for_each(served: TwinServer, post: Post, query: str) -> None:
    refused(served, post, query, "cost at most 1000, got")


def test_cost_has_a_bound_and_fragments_do_not_hide_it(served: TwinServer, post: Post) -> None:
    # Each fragment spreads the next one twice, one level down: written small, executed 2^n times.
    levels = 9
    fragments = [f"fragment F{n} on Query {{ p{n}: providers {{ ...G{n} }} q{n}: providers {{ ...G{n} }} }}" for n in range(levels)]
    middles = [f"fragment G{n} on Provider {{ ...F{n + 1} }}" for n in range(levels)]
    bomb = " ".join(["{ ...F0 }", *fragments, *middles, f"fragment F{levels} on Query {{ __typename }}"])
    assert post(bomb).status_code == 400
    wide = "fragment W on Mutation { " + RUN + " } mutation { " + "...W " * 25 + "}"
    refused(served, post, wide, "cost at most 1000, got")


def test_fragments_in_a_circle_are_refused(post: Post) -> None:
    response = post("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }")
    assert "within itself" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "query",
    [
        "{" * 900,
        "{ __typename " + "... { " * 600 + "__typename" + "}" * 601,
        "query ($a: " + "[" * 1500 + "Int" + "]" * 400 + ") { __typename }",
        "{ readFile(path: " + "[" * 1900 + ") { size } }",
        "{ readFile(path: " + "{a: " * 600 + "1" + "}" * 600 + ") { size } }",
        "{ __typename }" + " #\n" * 3000,
        "{ __typename " + "@include(if: true) " * 600 + "}",
        "{ " + "viewer { id } " * 480 + "}",
        "{ " + "... { viewer { id } } " * 300 + "}",
        "{ " + "__typename " * 1900 + "}",
    ],
)
def test_documents_nested_or_long_without_sense_are_refused(served: TwinServer, post: Post, query: str) -> None:
    start = time.perf_counter()
    response = post(query)
    assert time.perf_counter() - start < 1.0
    assert response.json()["errors"]
    assert "data" not in response.json()
    assert response.status_code < 500


def test_introspection_of_tools_passes(post: Post) -> None:
    for query in (get_introspection_query(), get_introspection_query(descriptions=True, input_value_deprecation=True, specified_by_url=True)):
        assert "errors" not in post(query).json()


def test_introspection_in_circles_is_refused(post: Post) -> None:
    circle = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
    assert post(circle).json()["errors"][0]["message"] == "Maximum introspection depth exceeded"
