"""Windows that slide: how many pass, when the next does, and that what is over takes no memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandql.access.sliding_windows import SlidingWindows


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_as_many_pass_as_are_admitted_and_each_key_has_its_own() -> None:
    clock = _Clock()
    windows = SlidingWindows(3, 60, 100, clock)
    assert [windows.hit("a").remaining for _ in range(3)] == [2, 1, 0]
    refused = windows.hit("a")
    assert (refused.admitted, refused.after_s) == (False, 60)
    assert windows.hit("b").admitted


def test_the_window_before_counts_by_the_share_of_it_that_is_still_seen() -> None:
    clock = _Clock()
    windows = SlidingWindows(4, 60, 100, clock)
    for _ in range(4):
        windows.hit("a")
    clock.now += 75  # a quarter of the next window is over: three of the four still count
    assert windows.hit("a").admitted
    assert not windows.hit("a").admitted
    clock.now += 120
    assert windows.hit("a").remaining == 3


def test_to_look_says_what_a_hit_would_and_counts_nothing() -> None:
    clock = _Clock()
    windows = SlidingWindows(2, 60, 100, clock)
    assert windows.look("a").admitted
    assert len(windows) == 0
    for _ in range(2):
        assert windows.look("a").admitted
        windows.hit("a")
    assert windows.look("a") == windows.hit("a")
    clock.now += 120
    assert windows.look("a").admitted


@given(st.integers(1, 20), st.lists(st.floats(0, 50), min_size=1, max_size=200))
def test_who_waits_as_long_as_is_said_is_admitted_and_a_period_never_has_twice_the_amount(amount: int, pauses: list[float]) -> None:
    clock = _Clock()
    windows = SlidingWindows(amount, 60, 100, clock)
    admitted: list[float] = []
    for pause in pauses:
        clock.now += pause
        spent = windows.hit("a")
        if not spent.admitted:
            assert 0 <= spent.after_s <= 60
            clock.now += spent.after_s + 0.001
            assert windows.hit("a").admitted
        admitted.append(clock.now)
        assert sum(1 for at in admitted if at > clock.now - 60) < 2 * amount + 1


def test_a_flood_of_keys_takes_bounded_memory_and_what_is_over_is_forgotten() -> None:
    clock = _Clock()
    windows = SlidingWindows(3, 60, 1000, clock)
    for number in range(5000):
        windows.hit(str(number))
    assert len(windows) == 1000
    clock.now += 120
    for number in range(600):
        windows.hit(f"new{number}")
    assert len(windows) == 600
