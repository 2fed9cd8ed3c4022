"""What the host sees of a cell: whose processes these are, what they hold, and how much of them is left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import pytest

from sandql.core.values import Output, RunRequest
from sandql.providers.base import Provider
from sandql.providers.local import provider as module
from sandql.providers.local.host_uids import HOST_UID_BASE, UIDS
from tests.support.engine import (
    SLEEPER,
    cells_of,
    descendants,
    family,
    open_descriptors,
    open_provider,
    run,
    status_of,
    stream,
    supervisor_of,
    templates_of,
    until,
    zygotes_of,
)

_FAMILY = b"import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(100)\nprint('up', flush=True)\ntime.sleep(100)"
_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has uids to give and may look at what is not its own")


@asynccontextmanager
async def _at_work(provider: Provider, *, fresh: int = 2, homes: tuple[str, ...] = ("outside",)) -> AsyncGenerator[None]:
    """While it is open, programs run: each prints once, and has a child."""
    async with AsyncExitStack() as stack:
        sandboxes = [await stack.enter_async_context(provider.fresh()) for _ in range(fresh)]
        sandboxes += [await stack.enter_async_context(provider.home(owner)) for owner in homes]
        for sandbox in sandboxes:
            events = await stack.enter_async_context(aclosing(stream(sandbox, RunRequest("python", _FAMILY))))
            async for event in events:
                if isinstance(event, Output):
                    break
        yield


def _below_zygotes() -> dict[int, dict[str, str]]:
    pids = [pid for zygote in zygotes_of(supervisor_of()) for pid in (zygote, *descendants(zygote))]
    return {pid: status for pid in pids if (status := status_of(pid)) and status["State"][0] != "Z"}


@_as_root
async def test_no_two_cells_have_one_uid_however_many_came_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RUN_UIDS", module._TEMPLATE_UIDS + 12)  # pyright: ignore[reportPrivateUsage]  # or it would take 20,000 runs
    show = "uid = int(open('/proc/self/uid_map').read().split()[1])\nprint(uid, flush=True)\n"
    stays = RunRequest("python", (show + "import time\ntime.sleep(100)").encode())
    async with (
        open_provider(pool_size=2, node_pool_size=0, program_pool_size=0) as provider,
        provider.fresh() as sandbox,
        aclosing(stream(sandbox, stays)) as events,
    ):
        held = b""
        async for event in events:
            if isinstance(event, Output):
                held = event.data
                break
        others = [(await run(provider, show)).stdout for _ in range(40)]
        assert held not in others
        assert len(set(others)) == 11, "each was given again"


@_as_root
async def test_no_process_of_a_zygote_or_a_cell_is_root_on_the_host() -> None:
    async with open_provider(pool_size=3, node_pool_size=1) as provider, _at_work(provider):
        seen = _below_zygotes()
        assert len(seen) >= 2 + 3 * 3
        for pid, status in seen.items():
            uids = [int(uid) for uid in status["Uid"].split()]
            gids = [int(gid) for gid in status["Gid"].split()]
            assert all(HOST_UID_BASE <= number < HOST_UID_BASE + UIDS for number in uids + gids), f"{pid} ({status['Name']}): {uids} {gids}"
            assert status["Groups"] == "", f"{pid} has groups {status['Groups']}"


@pytest.mark.unprivileged
async def test_a_cells_processes_have_no_capability_and_can_get_none() -> None:
    async with open_provider(pool_size=2, node_pool_size=0, program_pool_size=0) as provider, _at_work(provider):
        assert len(_in_cells()) >= 6
        # A cell that is just being made, to be parked, is still shutting itself in; those that run have done so.
        assert await until(lambda: not _capable()), _capable()


def _in_cells() -> dict[int, dict[str, str]]:
    """The processes of cells that are programs or their children, not the cells' first ones."""
    inside = {pid: (status, status["NSpid"].split()) for pid, status in _below_zygotes().items()}
    depth = max(len(numbers) for _, numbers in inside.values())
    return {pid: status for pid, (status, numbers) in inside.items() if len(numbers) == depth and numbers[-1] != "1"}


def _capable() -> dict[int, dict[str, str]]:
    """Those among them that have a capability or could get one."""
    none = {**dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapAmb"), "0" * 16), "NoNewPrivs": "1", "Seccomp": "2"}
    return {pid: {name: status[name] for name in none} for pid, status in _in_cells().items() if {name: status[name] for name in none} != none}


@_as_root
async def test_each_run_has_a_uid_of_its_own_and_each_home_one_for_good() -> None:
    async with open_provider(pool_size=1, node_pool_size=0, program_pool_size=0) as provider:
        who = "import os\nprint(open('/proc/self/uid_map').read().split()[1])"
        runs = [(await run(provider, who)).stdout for _ in range(5)]
        assert len(set(runs)) == 5
        alice, bob = [(await run(provider, who, home=owner)).stdout for owner in ("alice", "bob")]
        assert len({*runs, alice, bob}) == 7
        assert (await run(provider, who, home="alice")).stdout == alice


@_as_root
async def test_nothing_of_the_servers_environment_is_in_any_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_SECRET", "do-not-tell")
    async with open_provider(pool_size=2, node_pool_size=1) as provider, _at_work(provider):
        supervisor = supervisor_of()
        assert _environment(supervisor) == set()
        for pid in descendants(supervisor):
            assert _environment(pid) <= {b"PATH", b"HOME", b"LC_CTYPE", b"USER", b"SHELL"}, f"{pid}"


@_as_root
async def test_every_descriptor_of_a_helper_is_known() -> None:
    async with open_provider(pool_size=2, node_pool_size=0, program_pool_size=0) as provider, _at_work(provider, homes=()):
        supervisor = supervisor_of()
        (zygote,) = zygotes_of(supervisor)
        kinds = [_kind(target) for target in open_descriptors(supervisor).values()]
        assert set(kinds) <= {"/dev/null", "pipe", "socket", "cgroup", "net"}, open_descriptors(supervisor)
        kinds = [_kind(target) for target in open_descriptors(zygote).values()]
        known = {"/dev/null", "pipe", "socket", "cgroup", "mnt", "ipc", "pid", "net", "anon_inode:[signalfd]", "/proc/net", "/proc"}
        assert set(kinds) <= known, open_descriptors(zygote)
        # Two sockets, to the supervisor and the template; a third one is there for a moment, while a network namespace is made.
        assert await until(lambda: [_kind(target) for target in open_descriptors(zygote).values()].count("socket") == 2)
        (template,) = templates_of(zygote)
        kinds = [_kind(target) for target in open_descriptors(template).values()]
        assert sorted(kinds) == ["anon_inode:[landlock-ruleset]", "pipe", "pipe", "pipe", "socket", "socket"], open_descriptors(template)
        # Two programs and their children have three pipes each. A cell that is just being made, to be parked, may hold something else for now.
        assert [kinds for kinds in _held_in_cells() if len(kinds) == 3].count(["pipe"] * 3) >= 4
        assert await until(lambda: all(kinds in (["pipe"] * 3, ["pipe"] * 4) for kinds in _held_in_cells())), _held_in_cells()


def _held_in_cells() -> list[list[str]]:
    """What each of the processes of cells has open."""
    held: list[list[str]] = []
    for pid in _in_cells():
        try:
            held.append([_kind(target) for _, target in sorted(open_descriptors(pid).items())])
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
    return held


@_as_root
async def test_parked_cells_hold_their_pipes_only() -> None:
    async with open_provider(pool_size=3, node_pool_size=0, program_pool_size=0):
        (zygote,) = zygotes_of(supervisor_of())

        def ready() -> bool:
            return len(cells_of(zygote)) == 3 and all(len(open_descriptors(pid)) == 4 for pid in cells_of(zygote))

        assert await until(ready)
        for pid in cells_of(zygote):
            assert [_kind(target) for _, target in sorted(open_descriptors(pid).items())] == ["pipe"] * 4


@pytest.mark.unprivileged
async def test_a_run_that_is_given_up_leaves_no_process() -> None:
    async with open_provider(pool_size=1, node_pool_size=0, program_pool_size=0) as provider:
        assert await until(lambda: len(family()) == 5)
        quiet = set(family())
        for _ in range(3):
            async with _at_work(provider, fresh=3, homes=()):
                assert len(set(family()) - quiet) >= 7  # one of the three was parked before
            # A parked cell was used, and another stands in its place.
            assert await until(lambda: len(family()) == len(quiet)), family()


@pytest.mark.unprivileged
async def test_cancelling_leaves_no_process() -> None:
    async with open_provider(pool_size=1, node_pool_size=0, program_pool_size=0) as provider:
        assert await until(lambda: len(family()) == 5)
        running = [asyncio.ensure_future(run(provider, SLEEPER)) for _ in range(4)]
        assert await until(lambda: len(family()) >= 11)
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=5)
        assert all(task.cancelled() for task in running)
        assert await until(lambda: len(family()) == 5), family()


def _environment(pid: int) -> set[bytes]:
    """The names of the variables with which a process was started; none where it has ended."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return set()
    return {variable.split(b"=")[0] for variable in environment.split(b"\0") if variable}


def _kind(target: str) -> str:
    if target.startswith(("/sys/fs/cgroup/", "/proc/")) or target.endswith("/net/dev"):
        return "cgroup" if target.startswith("/sys") else "/proc/net"
    return target if target.startswith(("/dev/", "anon_inode")) else target.split(":")[0]
