"""Every hostile program, against a real provider: none gets anything, each ends as it must, and the house is well after each."""

from __future__ import annotations

import pytest

from tests.attacks.corpus import Attack, load
from tests.attacks.house import House
from tests.attacks.judge import perform

pytestmark = pytest.mark.unprivileged


@pytest.mark.parametrize("attack", load(), ids=lambda attack: attack.name)
async def test_attack(house: House, attack: Attack) -> None:
    """It is contained, and the run after it is prompt and sees nothing of it."""
    try:
        await perform(house, attack)
    finally:
        await house.assert_well()
