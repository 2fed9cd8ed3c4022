"""The schema as text."""

from __future__ import annotations

from graphql import GraphQLObjectType, ObjectTypeDefinitionNode, lexicographic_sort_schema, parse, print_schema

from sandql.schema.build import core_schema
from sandql.schema.requirements import permission_needed


def printed() -> str:
    """The schema as text, sorted, with its descriptions and with what fields require: what `schema.graphql` holds."""
    text = print_schema(lexicographic_sort_schema(core_schema)) + "\n"
    for end, permission in sorted(_requirements(text), reverse=True):
        text = f"{text[:end]} @requires(permission: {permission}){text[end:]}"
    return text


def _requirements(text: str) -> list[tuple[int, str]]:
    """Where a field ends that needs a permission, and which. What graphql-core prints has no directives at fields."""
    found: list[tuple[int, str]] = []
    for node in parse(text).definitions:
        type_ = core_schema.type_map[node.name.value] if isinstance(node, ObjectTypeDefinitionNode) else None
        if not isinstance(node, ObjectTypeDefinitionNode) or not isinstance(type_, GraphQLObjectType):
            continue
        for field in node.fields or ():
            permission = permission_needed(type_.fields[field.name.value])
            if permission is not None and field.loc is not None:
                found.append((field.loc.end, permission.name))
    return found
