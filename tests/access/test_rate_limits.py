"""What a caller is admitted to, by its plan and the kind of operation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandql.access.access import Access
from sandql.access.plans import read_plans
from sandql.access.rate_limits import RateLimits
from sandql.access.rate_note import RATE_NOTE, RateNote
from sandql.core.errors import Forbidden, RateLimited
from sandql.core.permissions import Act, Kind, Permission, Permissions
from sandql.core.values import Caller

_RUN = Act("execute", "executeCode", Kind.EXECUTE, Permission.EXECUTE_CODE)
_READ = Act("read_file", "readFile", Kind.FILES, None)
_PART = Act("read_output", "readOutput", None, None)
_ALICE = Caller("alice", plan="small")


def _access() -> Access:
    return Access(RateLimits(read_plans({"small": {"execute": "2/15 minutes", "files": "1/minute"}})))


async def test_each_kind_and_each_caller_is_counted_apart() -> None:
    access = _access()
    await access.admit(_ALICE, _RUN)
    await access.admit(_ALICE, _RUN)
    with pytest.raises(RateLimited, match="executeCode: the plan 'small' admits 2 EXECUTE operations per 15 minutes; try again in 900 s") as refused:
        await access.admit(_ALICE, _RUN)
    assert refused.value.retry_after_s == 900
    await access.admit(_ALICE, _READ)
    await access.admit(replace(_ALICE, subject="bob"), _RUN)
    for _ in range(10):
        await access.admit(_ALICE, _PART)
        await access.admit(Caller(), _RUN)


async def test_what_is_forbidden_is_counted_too() -> None:
    access = _access()
    weak = replace(_ALICE, permissions=Permissions())
    for _ in range(2):
        with pytest.raises(Forbidden):
            await access.admit(weak, _RUN)
    with pytest.raises(RateLimited):
        await access.admit(weak, _RUN)


async def test_an_administrator_who_acts_as_another_spends_his_own() -> None:
    access = _access()
    for _ in range(2):
        await access.admit(replace(_ALICE, acting="root"), _RUN)
    with pytest.raises(RateLimited):
        await access.admit(replace(_ALICE, acting="root"), _RUN)
    await access.admit(_ALICE, _RUN)


async def test_a_plan_that_is_not_known_admits_nothing() -> None:
    with pytest.raises(Forbidden, match="plan: 'gold' is not known"):
        await _access().admit(replace(_ALICE, plan="gold"), _RUN)


async def test_a_note_says_what_a_request_was_counted_against() -> None:
    access, note = _access(), RateNote()
    token = RATE_NOTE.set(note)
    try:
        await access.admit(_ALICE, _RUN)
        await access.admit(_ALICE, _READ)
        with pytest.raises(RateLimited):
            await access.admit(_ALICE, _READ)
    finally:
        RATE_NOTE.reset(token)
    assert {kind: state.remaining for kind, state in note.states.items()} == {Kind.EXECUTE: 1, Kind.FILES: 0}
    assert note.retry_after_s == 60
