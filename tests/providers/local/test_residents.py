"""Which cells run in which kept workspace, and what is remembered of that."""

from __future__ import annotations

from unittest.mock import create_autospec

import pytest

from sandql.providers.local.engine import Cell, Engine
from sandql.providers.local.residents import Residents

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]


async def test_a_stamp_never_comes_back_and_none_is_kept_of_what_is_gone() -> None:
    residents, seen = Residents(), list[int | None]()

    def run_in(home: str) -> None:
        with residents.living(home, create_autospec(Cell), create_autospec(Engine)):  # only their identity is used
            assert residents.stamp(home) is None, "while a program runs nobody knows what is there"
        seen.append(residents.stamp(home))

    seen.append(residents.stamp("alice"))
    run_in("alice")
    run_in("alice")
    for _ in range(2):
        residents.forget_stamps(["alice"])
        seen.append(residents.stamp("alice"))
        run_in("alice")
    assert len(set(seen)) == len(seen)
    for number in range(100):
        run_in(f"owner {number}")
    residents.forget_stamps(["alice", *(f"owner {number}" for number in range(100))])
    assert not residents._changes  # pyright: ignore[reportPrivateUsage]  # what a server remembers shows nowhere else
