"""The schema as text."""

from __future__ import annotations

from graphql import lexicographic_sort_schema, print_schema

from sandql.schema.build import core_schema


def printed() -> str:
    """The schema as text, sorted, with its descriptions: what `schema.graphql` holds."""
    return print_schema(lexicographic_sort_schema(core_schema)) + "\n"
