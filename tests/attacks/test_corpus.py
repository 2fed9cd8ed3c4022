"""The corpus itself: large enough, wide enough, and each program says what it tries."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.attacks.corpus import LANGUAGES, load

pytestmark = pytest.mark.unit

GROUPS = {
    "bombs", "capabilities", "covert", "descriptors", "devices", "filesystem", "forgery", "kernel", "limits", "mounts", "namespaces", "network",
    "orphans", "proc", "ptrace", "randomness", "seccomp", "setuid", "signals", "state", "workspace",
}  # fmt: skip


def test_there_are_many_in_every_group_and_language() -> None:
    attacks = load()
    assert len(attacks) >= 200
    assert set(Counter(attack.group for attack in attacks)) == GROUPS
    languages = Counter(attack.language for attack in attacks)
    assert set(languages) == set(LANGUAGES.values())
    assert min(languages.values()) >= 20


def test_no_program_contains_the_prefix_that_it_searches_for() -> None:
    for attack in load():
        assert b"sandql-secret-" not in attack.code, f"{attack.name} would find itself"
