"""The schema as a client sees it: nothing of the first one is broken, all of it is described, and its text is in the repository."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    find_breaking_changes,
    find_dangerous_changes,
    get_introspection_query,
    graphql_sync,  # pyright: ignore[reportUnknownVariableType]  (a parameter that is not used here has no type)
    is_introspection_type,
    is_specified_scalar_type,
    parse,
    validate,
    validate_schema,
)

from sandql.schema.build import core_schema
from sandql.schema.sdl import printed

SEED = """
type ExecutionResult { output: String!  stderr: String  executionTime: Int!  success: Boolean! }
type FileContent { path: String!  content: String!  size: Int! }
type Query { listFiles(path: String!): [String!]!   readFile(path: String!): FileContent }
type Mutation {
  executeCode(code: String!, language: String!, provider: String = "e2b"): ExecutionResult!
  writeFile(path: String!, content: String!): Boolean!
}
"""


@pytest.fixture
def ours() -> GraphQLSchema:
    """The schema that is read from the printed text, as a client's tools read it."""
    return build_schema(printed())


def test_schema_file_is_the_schema() -> None:
    file = Path(__file__).parents[2] / "schema.graphql"
    assert file.read_text() == printed(), "schema.graphql is not what the server serves; write it anew with `sandql schema > schema.graphql`"


def test_nothing_of_the_seed_is_broken(ours: GraphQLSchema) -> None:
    seed = build_schema(SEED)
    assert find_breaking_changes(seed, ours) == []
    assert find_breaking_changes(seed, core_schema) == []
    # The default of `provider` is dropped on purpose: it is the server's to choose. Everything else that is dangerous is an addition.
    kinds = {(change.type.name, change.description) for change in find_dangerous_changes(seed, ours) if "OPTIONAL" not in change.type.name}
    assert len(kinds) == 1
    assert "provider" in kinds.pop()[1]


@pytest.mark.parametrize(
    "document",
    [
        'mutation { executeCode(code: "print(1)", language: "python", provider: "e2b") { output stderr executionTime success } }',
        "mutation ($c: String!, $l: String!, $p: String) { executeCode(code: $c, language: $l, provider: $p) { success } }",
        'mutation { writeFile(path: "a", content: "b") }',
        'query { listFiles(path: "/") readFile(path: "a") { path content size } }',
    ],
)
def test_documents_of_the_seed_are_valid(document: str) -> None:
    assert validate(build_schema(SEED), parse(document)) == []
    assert validate(core_schema, parse(document)) == []


def test_the_schema_is_valid() -> None:
    assert validate_schema(core_schema) == []


def test_everything_is_described(ours: GraphQLSchema) -> None:
    bare: list[str] = []
    for name, type_ in ours.type_map.items():
        if is_introspection_type(type_) or is_specified_scalar_type(type_):
            continue
        described = {name: type_.description}
        if isinstance(type_, GraphQLEnumType):
            described |= {f"{name}.{key}": value.description for key, value in type_.values.items()}
        if isinstance(type_, GraphQLInputObjectType | GraphQLObjectType | GraphQLInterfaceType):
            described |= {f"{name}.{key}": field.description for key, field in type_.fields.items()}
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            described |= {f"{name}.{key}({arg})": argument.description for key, field in type_.fields.items() for arg, argument in field.args.items()}
        bare += [place for place, description in described.items() if not description or not description.strip()]
    assert bare == []


def test_the_text_is_sorted_and_stable() -> None:
    lines = [line.split()[1] for line in printed().splitlines() if line.startswith(("type ", "enum ", "input ", "scalar ", "union "))]
    assert lines == sorted(lines)
    assert printed() == printed()


def test_a_run_takes_the_same_arguments_with_and_without_a_stream(ours: GraphQLSchema) -> None:
    mutation, subscription = ours.mutation_type, ours.subscription_type
    assert mutation is not None
    assert subscription is not None
    once = {name: (str(arg.type), arg.description) for name, arg in mutation.fields["executeCode"].args.items()}
    streamed = {name: (str(arg.type), arg.description) for name, arg in subscription.fields["executeCode"].args.items()}
    del once["idempotencyKey"]  # a stream that is asked for again is another stream
    assert once == streamed
    optional = {name for name, (type_, _) in once.items() if not type_.endswith("!")}
    assert optional == set(once) - {"code", "language"}


def test_introspection_answers() -> None:
    result = graphql_sync(core_schema, get_introspection_query(descriptions=True))
    assert result.errors is None
    assert result.data is not None
    names = {type_["name"] for type_ in result.data["__schema"]["types"]}
    assert {"ExecutionEvent", "FileEntry", "LimitsInput", "Upload"} <= names
