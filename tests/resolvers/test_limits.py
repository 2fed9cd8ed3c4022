"""Limits of a run: what is asked is granted to the unit, or refused with the bound and what was given."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandql.core.errors import BadRequest
from sandql.core.settings import Settings, load_settings
from sandql.core.values import GiB, KiB, Limits, MiB
from sandql.resolvers.operations import AskedLimits, ExecuteCode
from tests.resolvers.asking import check

pytestmark = pytest.mark.unit

NUMBERS = st.one_of(st.none(), st.integers(-(2**63), 2**63), st.integers(-10, 100_000), st.integers(64 * KiB, 2 * GiB))
ASKED = st.builds(AskedLimits, **{field.name: NUMBERS for field in fields(AskedLimits)})
SETTINGS = st.builds(
    load_settings,
    wall_ms=st.integers(1, 300_000),
    max_wall_ms=st.integers(1, 3_600_000),
    memory_bytes=st.integers(32 * MiB, 64 * GiB),
    processes=st.integers(1, 4096),
    open_files=st.integers(16, 65_536),
    workspace_bytes=st.integers(64 * KiB, 64 * GiB),
    workspace_inodes=st.integers(16, 16_777_216),
    output_bytes=st.integers(0, 64 * MiB),
)


@given(ASKED, NUMBERS, SETTINGS)
@example(AskedLimits(), None, load_settings(wall_ms=300_000, max_wall_ms=1))
def test_nobody_gets_more_than_the_server_allows(asked: AskedLimits, timeout_ms: int | None, settings: Settings) -> None:
    try:
        limits = check(ExecuteCode("1", "python", limits=asked, timeout_ms=timeout_ms), settings).limits
    except BadRequest as refused:
        assert refused.message.startswith(("timeout: ", "limits."))
        assert " must be from " in refused.message
        return
    assert 1 <= limits.wall_ms <= settings.max_wall_ms
    assert 1 <= limits.cpu_ms <= settings.max_wall_ms
    assert 16 * MiB <= limits.memory_bytes <= settings.memory_bytes
    assert limits.output_hard_bytes == settings.output_hard_bytes
    for name in ("processes", "open_files", "workspace_bytes", "workspace_inodes", "output_bytes"):
        assert getattr(limits, name) <= getattr(settings, name)
    for field in fields(AskedLimits):
        wanted = getattr(asked, field.name)
        assert wanted is None or getattr(limits, field.name) == wanted
    assert timeout_ms is None or limits.wall_ms == timeout_ms


@given(SETTINGS)
def test_left_out_is_the_servers_default_and_always_acceptable(settings: Settings) -> None:
    limits = check(ExecuteCode("1", "python"), settings).limits
    assert limits.wall_ms == limits.cpu_ms == min(settings.wall_ms, settings.max_wall_ms)
    assert limits == check(ExecuteCode("1", "python", limits=AskedLimits()), settings).limits


def test_a_new_machines_defaults_are_those_of_the_values() -> None:
    assert check(ExecuteCode("1", "python")).limits == Limits()


ZERO_IS_FINE = {"output_bytes"}


@pytest.mark.parametrize("name", [field.name for field in fields(AskedLimits)])
@pytest.mark.parametrize("value", [-(2**40), -1, 0, 2**62])
def test_a_limit_that_makes_no_sense_is_refused_with_its_bound(name: str, value: int) -> None:
    if name in ZERO_IS_FINE and value == 0:
        assert check(ExecuteCode("1", "python", limits=AskedLimits(**{name: value}))).limits.output_bytes == 0
        return
    with pytest.raises(BadRequest) as refused:
        check(ExecuteCode("1", "python", limits=AskedLimits(**{name: value})))
    assert refused.value.message.startswith("limits.")
    assert str(value) in refused.value.message or "MiB" in refused.value.message


@pytest.mark.parametrize("value", [-1, 0, 300_001])
def test_a_timeout_out_of_its_bound_is_refused(value: int) -> None:
    with pytest.raises(BadRequest, match=rf"timeout: must be from 1 to 300000, got {value}"):
        check(ExecuteCode("1", "python", timeout_ms=value))
