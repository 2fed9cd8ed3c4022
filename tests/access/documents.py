"""A document for every root field that the schema has: made from the schema, so that a new field is tried without being written down here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from graphql import GraphQLNonNull, GraphQLObjectType, Undefined, get_named_type, is_leaf_type

from sandql.schema.build import core_schema

NOBODYS: Final = "n" * 22  # an id that nothing has

# What a required argument is given; one that is not here fails the tests, and asks for a value.
VALUES: Final[dict[str, Any]] = {
    "id": NOBODYS,
    "code": "print('it ran')",
    "language": "python",
    "path": "tried.txt",
    "from": "tried.txt",
    "to": "tried-too.txt",
    "content": "tried",
    "file": None,  # a part of a multipart request stands for it
    "data": "tried",
    "cols": 80,
    "rows": 24,
    "name": "tried",
    "prefix": "tried",
    "role": "viewer",
    "subject": "somebody",
}
# Arguments without which a field cannot do what it is for, though the schema lets them be left out.
ALSO: Final[dict[str, dict[str, Any]]] = {
    "runCommand": {"argv": ["true"]},
    "startCommand": {"argv": ["true"]},
    "fileChanges": {"sandboxId": NOBODYS},  # of a home it would wait for a change
}


@dataclass(frozen=True, slots=True)
class RootField:
    """A field of a root type: `operation` is "query", "mutation" or "subscription", `ids` the arguments that take an id, `uploads` those that
    take a part of a multipart request."""

    operation: str
    name: str
    ids: tuple[str, ...]
    uploads: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.operation} {self.name}"

    def document(self, **given: Any) -> tuple[str, dict[str, Any]]:
        """A document that asks for this field alone, and its variables."""
        field = _ROOTS[self.operation].fields[self.name]
        values = {name: VALUES[name] for name, argument in field.args.items() if _required(argument)}
        values |= ALSO.get(self.name, {}) | given
        declared = ", ".join(f"${name}: {field.args[name].type}" for name in values)
        passed = ", ".join(f"{name}: ${name}" for name in values)
        selection = "" if is_leaf_type(get_named_type(field.type)) else " { __typename }"
        head = f"{self.operation} ({declared})" if declared else self.operation
        return f"{head} {{ {self.name}{f'({passed})' if passed else ''}{selection} }}", values


def _required(argument: Any) -> bool:
    return isinstance(argument.type, GraphQLNonNull) and argument.default_value is Undefined


def _arguments(field: Any, type_name: str) -> tuple[str, ...]:
    return tuple(name for name, argument in field.args.items() if cast(Any, get_named_type(argument.type)).name == type_name)


def _roots() -> Mapping[str, GraphQLObjectType]:
    query, mutation, subscription = core_schema.query_type, core_schema.mutation_type, core_schema.subscription_type
    assert query is not None
    assert mutation is not None
    assert subscription is not None
    return {"query": query, "mutation": mutation, "subscription": subscription}


_ROOTS: Final = _roots()
ROOT_FIELDS: Final = tuple(
    RootField(operation, name, _arguments(field, "ID"), _arguments(field, "Upload"))
    for operation, root in _ROOTS.items()
    for name, field in root.fields.items()
)
