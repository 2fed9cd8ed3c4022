"""What the documents say is there: settings, errors, targets, commands, files."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from sandql.cli import app
from sandql.core.errors import SandqlError
from sandql.core.settings import Settings
from sandql.providers.local.languages import find_languages
from tests.core.test_errors import descendants
from tests.house.settings_table import settings_table
from tests.house.tree import ROOT, read, written

PAGES = [path for path in written() if path.suffix == ".md" and path.parts[0] != "web"]


def test_every_setting_is_documented_as_it_is() -> None:
    page = read("docs/settings.md")
    table = page.partition("<!-- settings -->\n")[2].partition("<!-- /settings -->")[0]
    assert table == settings_table(Settings), "run: python -m tests.house.settings_table"


def test_every_error_code_is_documented_with_its_status() -> None:
    page = read("docs/errors.md")
    for _, error in descendants(SandqlError):
        assert re.search(rf"^\| `{error.code}` \| {error.status} \|", page, re.MULTILINE), f"docs/errors.md has no row for {error.code}"


def test_every_language_of_this_host_is_documented_with_its_aliases() -> None:
    page = read("docs/languages.md")
    for language in find_languages(sys.executable):
        aliases = ", ".join(f"`{alias}`" for alias in language.aliases)
        assert f"| `{language.name}` | {aliases} |".replace("|  |", "| |") in page, language


def targets() -> set[str]:
    """What `make` can be asked for."""
    return set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))


def commands() -> set[str]:
    """What `sandql` can be asked for."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    return set(group.commands)


def code_of(page: Path) -> str:
    """What stands in a page as something to type: its shell blocks and its inline code."""
    found = re.findall(r"```(?:sh|console)\n(.*?)```|`([^`\n]+)`", read(page), re.DOTALL)
    return "\n".join(block or inline for block, inline in found)


@pytest.mark.parametrize(
    ("pattern", "known"), [(r"\bmake ([a-z-]+)", targets), (r"(?<![\w/.-])sandql ([a-z]+)(?= |\n|$)", commands)], ids=["make", "sandql"]
)
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_in_the_documents_are_there(page: Path, pattern: str, known: Callable[[], set[str]]) -> None:
    assert set(re.findall(pattern, code_of(page), re.MULTILINE)) <= known()


def test_the_readme_starts_with_one_command() -> None:
    assert "make serve" in read("README.md")
    assert "make test" in read("README.md")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", read(page)):
        assert (ROOT / page.parent / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md", "AGENTS.md", "CONTRIBUTING.md"])
def test_the_pages_that_a_stranger_looks_for_are_there(page: str) -> None:
    assert len(read(page).splitlines()) > 5
