"""Homes on the disk: one for each owner, made once, kept while they are used, gone when they are idle."""

from __future__ import annotations

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandql.core.errors import NotFound, ResourceError
from sandql.providers.local.homes import Home, Homes
from sandql.providers.local.host_uids import HOST_UID_BASE

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]

_DAY_S = 86_400.0


@pytest.fixture
def homes(tmp_path: Path) -> Homes:
    return Homes(tmp_path / "homes")


def _leave_idle(home: Home, for_s: float) -> None:
    folder = home.files.parent
    then = folder.stat().st_mtime - for_s
    os.utime(folder, (then, then))


def test_an_owner_has_one_home_for_good(homes: Homes) -> None:
    first = homes.lend("alice")
    (first.files / "a.txt").write_text("1")
    homes.give_back(first)
    assert homes.lend("alice") == first
    assert Homes(homes.folder).lend("alice") == first
    assert homes.lend("bob").files != first.files


def test_an_owners_name_is_nowhere_on_the_disk(homes: Homes) -> None:
    homes.lend("../../alice")
    assert [path.name for path in homes.folder.iterdir() if "alice" in path.name] == []
    assert len(list(homes.folder.iterdir())) == 1


def test_many_at_once_get_homes_of_their_own(homes: Homes) -> None:
    owners = [f"owner {number % 40}" for number in range(160)]
    with ThreadPoolExecutor(8) as threads:
        lent = list(threads.map(homes.lend, owners))
    by_owner = dict(zip(owners, lent, strict=True))
    assert [by_owner[owner] for owner in owners] == lent
    assert len({home.files for home in lent}) == 40
    if os.geteuid() == 0:
        assert len({home.owner_uid for home in lent}) == 40
        for home in lent:
            assert home.owner_uid is not None
            assert home.files.stat().st_uid == HOST_UID_BASE + home.owner_uid - 1000
    else:
        assert {home.owner_uid for home in lent} == {None}


def test_a_restart_gives_no_uid_twice(homes: Homes) -> None:
    before = [homes.lend(f"old {number}") for number in range(5)]
    after = [Homes(homes.folder).lend("new")] if os.geteuid() == 0 else []
    uids = [home.owner_uid for home in before + after]
    assert len(set(uids)) == (6 if os.geteuid() == 0 else 1)


def test_idle_homes_are_removed_and_others_stay(homes: Homes) -> None:
    idle, used, fresh = (homes.lend(owner) for owner in ("idle", "used", "fresh"))
    (idle.files / "deep" / "er").mkdir(parents=True)
    (idle.files / "deep" / "file").write_text("1")
    homes.give_back(idle)
    homes.give_back(fresh)
    _leave_idle(idle, 2 * _DAY_S)
    _leave_idle(used, 2 * _DAY_S)  # lent for longer than the time, and not given back
    homes.remove_idle(_DAY_S)
    assert not idle.files.parent.exists()
    assert used.files.is_dir()
    assert fresh.files.is_dir()
    assert len(list(homes.folder.iterdir())) == 2


def test_giving_back_begins_the_idle_time(homes: Homes) -> None:
    home = homes.lend("alice")
    _leave_idle(home, 2 * _DAY_S)
    homes.give_back(home)
    homes.remove_idle(_DAY_S)
    assert home.files.is_dir()


def test_a_home_that_was_removed_is_made_anew_and_empty(homes: Homes) -> None:
    home = homes.lend("alice")
    (home.files / "a.txt").write_text("1")
    homes.give_back(home)
    _leave_idle(home, 2 * _DAY_S)
    homes.remove_idle(_DAY_S)
    assert list(homes.lend("alice").files.iterdir()) == []


def test_what_a_crash_left_of_removing_a_home_goes_at_the_next_sweep(homes: Homes) -> None:
    left = homes.folder / "removing-0123456789abcdef"
    (left / "files" / "deep").mkdir(parents=True)
    os.utime(left, (0, 0))
    homes.remove_idle(_DAY_S)
    assert list(homes.folder.iterdir()) == []


def test_a_home_that_was_half_made_is_made(homes: Homes) -> None:
    home = homes.lend("alice")
    home.files.rename(home.files.with_name("making"))
    again = Homes(homes.folder).lend("alice")
    assert again.files.is_dir()
    assert [path.name for path in again.files.parent.iterdir()] == ["files"]


def test_a_full_house_is_a_resource_error(homes: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("an ordinary user has no uids to run out of")
    monkeypatch.setattr("sandql.providers.local.homes.UIDS", 29_005)
    for number in range(20):
        try:
            homes.lend(str(number))
        except ResourceError as error:
            assert str(number) in error.message
            break
    else:
        raise AssertionError("there were more homes than uids")
    assert homes.lend("0").files.is_dir()


def test_what_was_left_half_written_goes_when_nobody_else_is_at_work(homes: Homes) -> None:
    half = homes.lend("alice").files / f".sandql-write-{'0' * 16}"
    half.write_text("half")
    other = Homes(homes.folder)
    with homes.in_use():
        assert not half.exists()
        half.write_text("half of what is being written")
        with other.in_use():
            assert half.exists()
    with other.in_use():
        assert not half.exists()


def test_a_kept_sandbox_goes_at_once_also_when_it_is_lent(homes: Homes) -> None:
    homes.make("sb_1")
    lent = homes.lend_kept("sb_1")
    (lent.files / "a" / "b").mkdir(parents=True)
    homes.remove("sb_1")
    assert list(homes.folder.iterdir()) == []
    with pytest.raises(NotFound):
        homes.lend_kept("sb_1")
    homes.give_back(lent)
    homes.remove("sb_1")
    assert homes.kept() == set()


def test_a_removal_that_was_cut_off_is_gone_on_with(homes: Homes) -> None:
    homes.make("sb_1")
    (homes.folder / "sb_1").rename(homes.folder / "removing-sb_1")
    assert homes.kept() == {"sb_1"}
    with pytest.raises(NotFound):
        homes.lend_kept("sb_1")
    homes.remove("sb_1")
    assert list(homes.folder.iterdir()) == []


def test_making_that_fails_leaves_nothing(homes: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: Path, _target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(ResourceError, match="disk is full"):
        homes.make("sb_1")
    assert list(homes.folder.iterdir()) == []


@pytest.mark.parametrize("ahead_s", [10**6, -(10**6)])
def test_a_clock_that_is_set_makes_no_home_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: int) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + max(0, -ahead_s))
    homes = Homes(tmp_path / "homes")
    monkeypatch.setattr(time, "time", lambda: now() + max(0, ahead_s))
    home = homes.lend("alice")  # files have the time of the clock as it is
    os.utime(home.files.parent, (now(), now()))
    homes.give_back(home)
    os.utime(home.files.parent, (now(), now()))
    homes.remove_idle(3600)
    assert home.files.is_dir()
