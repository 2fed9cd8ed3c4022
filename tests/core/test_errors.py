"""The error tree is as its file draws it."""

from __future__ import annotations

import re

import pytest

from sandql.core import errors
from sandql.core.errors import RateLimited, SandqlError

pytestmark = pytest.mark.unit


def descendants(parent: type[SandqlError], depth: int = 0) -> list[tuple[int, type[SandqlError]]]:
    """Every error below `parent` that the house defines, with how deep it lies."""
    found: list[tuple[int, type[SandqlError]]] = []
    for child in parent.__subclasses__():
        found += [(depth, child), *descendants(child, depth + 1)]
    return found


def test_the_drawing_is_the_tree() -> None:
    assert errors.__doc__ is not None
    drawn = re.findall(r"^ {4}([│ ├└─]*)(\w+) +([A-Z_]+) +(\d{3})\b", errors.__doc__, re.MULTILINE)
    assert [(len(lead) // 4 - 1, name, code, int(status)) for lead, name, code, status in drawn] == [
        (depth, error.__name__, error.code, error.status) for depth, error in descendants(SandqlError)
    ]


def test_a_code_means_one_thing() -> None:
    codes = [error.code for _, error in descendants(SandqlError)]
    assert len(codes) == len(set(codes))


def test_every_error_says_in_a_sentence_when_it_happens() -> None:
    for _, error in descendants(SandqlError):
        assert error.__doc__ is not None
        assert error.__doc__.strip().endswith("."), error


def test_an_error_carries_its_message_and_when_to_come_back() -> None:
    error = RateLimited("too many requests", retry_after_s=1.5)
    assert (str(error), error.message, error.retry_after_s, error.code, error.status) == (
        "too many requests",
        "too many requests",
        1.5,
        "RATE_LIMITED",
        429,
    )
