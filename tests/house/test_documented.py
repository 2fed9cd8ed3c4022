"""What the documents show as GraphQL can be sent to the server, and what they show as an access file is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import LoneAnonymousOperationRule, SDLValidationRule, parse, specified_rules, validate

from sandql.access.plans import read_plans
from sandql.access.roles import Roles
from sandql.core.access_file import read_access_file
from sandql.schema.build import core_schema
from sandql.usage.plans import read_quotas
from tests.support.documented import blocks

_TOP = Path(__file__).parents[2]
_SHOWN = [
    pytest.param(text, id=f"{path.name} {number}")
    for path in sorted((_TOP / "docs").glob("*.md"))
    for number, text in enumerate(blocks(path.name, "graphql"))
]
_RULES = [rule for rule in specified_rules if rule is not LoneAnonymousOperationRule and not issubclass(rule, SDLValidationRule)]


@pytest.mark.parametrize("block", _SHOWN)
def test_a_document_is_valid(block: str) -> None:
    assert not validate(core_schema, parse(block), _RULES)


@pytest.mark.parametrize("page", ["rate-limits.md", "roles.md", "usage.md"])
def test_an_access_file_is_acceptable(page: str, tmp_path: Path) -> None:
    file = tmp_path / "access.toml"
    (text,) = blocks(page, "toml")
    file.write_text(text)
    tables = read_access_file(file)
    roles = Roles(tables.roles)
    assert {*roles.names, *read_plans(tables.rates), *read_quotas(tables.quotas)} & {"student", "classroom"}
