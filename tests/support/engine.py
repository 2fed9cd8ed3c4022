"""A started provider for tests, and what a test wants to know of the processes and files that belong to it."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sandql.core.settings import Settings, load_settings
from sandql.core.values import Event, Execution, RunRequest
from sandql.providers.base import Provider, Sandbox
from sandql.providers.registry import make_provider

Seen = TypeVar("Seen")
HANG_S = 20.0  # after this a run that should have ended is taken for one that never will

# Writes a line that says that it runs, and then waits for ever.
SLEEPER = b"print('up', flush=True)\nimport time\ntime.sleep(1000)"


_others: set[int] = set()  # supervisors of this process that are not of the provider that was opened last


@contextmanager
def opened_last() -> Generator[None]:
    """While a provider is open: it is the one whose processes are looked for."""
    global _others
    before, _others = _others, set(_supervisors(os.getpid()))
    try:
        yield
    finally:
        _others = before


@asynccontextmanager
async def open_provider(name: str = "local", **settings: object) -> AsyncGenerator[Provider]:
    """A started provider with these settings, in a new state folder unless one is given; closed on every way out."""
    with opened_last(), tempfile.TemporaryDirectory(prefix="sandql-engine-", dir="/var/tmp") as folder:
        chosen: Settings = load_settings(**{"state_dir": Path(folder), **settings})
        provider = make_provider(name, chosen)
        try:
            await provider.start()
            yield provider
        finally:
            await provider.aclose()


async def run(provider: Provider, code: str | bytes, language: str = "python", *, home: str | None = None, **request: Any) -> Execution:
    """Run a program to its end, in a fresh sandbox or in the home of the owner `home`. Fails when it does not end."""
    asked = RunRequest(language, code.encode() if isinstance(code, str) else code, **request)
    async with provider.fresh() if home is None else provider.home(home) as sandbox:
        return await asyncio.wait_for(sandbox.run(asked), HANG_S + asked.limits.wall_ms / 1000)


async def stream(sandbox: Sandbox, request: RunRequest) -> AsyncGenerator[Event]:
    """The events of a run; closing them ends it."""
    async with sandbox.start(request) as program, aclosing(program.events()) as events:
        async for event in events:
            yield event


async def until(holds: Callable[[], object], within_s: float = HANG_S) -> bool:
    """Whether something becomes true in this time, which on a busy machine is long; it is looked at again and again."""
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.002)
    return True


async def settled(look: Callable[[], Seen], for_s: float = 0.2) -> Seen:
    """What is seen, once it has stayed the same for this long: nothing more comes or goes."""
    seen = [look()]
    while await until(lambda: look() != seen[-1], for_s):
        seen.append(look())
    return seen[-1]


def family(*, zombies: bool = False) -> dict[int, str]:
    """Every process of the provider that was opened last: its pid and its command.

    A zygote takes its time with the zombies of cells, so they count only where they are asked for.
    """
    return {pid: name for top in _own() for pid, name in {top: "supervisor", **descendants(top, zombies=zombies)}.items()}


def descendants(top: int, *, zombies: bool = False) -> dict[int, str]:
    """Every process below another: its pid and its command."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    dead: set[int] = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_bytes()
            except OSError:
                continue
            name, _, rest = stat.rpartition(b") ")
            state, parent = rest.split()[:2]
            parents[int(entry)] = int(parent)
            if state == b"Z":
                dead.add(int(entry))
            names[int(entry)] = name.partition(b"(")[2].decode(errors="replace")
    found: dict[int, str] = {}
    level = {top}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level}
        found |= {pid: names[pid] for pid in level if zombies or pid not in dead}
    return found


def open_descriptors(pid: int | str = "self") -> dict[int, str]:
    """A process's open descriptors, and what each is."""
    found: dict[int, str] = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:  # it was the one with which the folder was read
            continue
    return found


def status_of(pid: int | str) -> dict[str, str]:
    """The lines of a process's /proc/<pid>/status; empty where it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def identity(pid: int) -> tuple[int, str]:
    """A process as none after it will be: its pid and when it was started."""
    try:
        return pid, Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return pid, ""


def alive(members: set[tuple[int, str]]) -> set[int]:
    """Those of some processes, by their identities, that have not ended."""
    return {pid for pid, begun in members if identity(pid) == (pid, begun) and status_of(pid).get("State", "Z")[0] != "Z"}


def cgroup_folders(server_pid: int | None = None) -> set[str]:
    """The control groups that an engine of this server made, empty ones too; of all servers when left out."""
    mark = "/sandql-" if server_pid is None else f"/sandql-{server_pid}-"
    return {folder for folder, _, _ in os.walk("/sys/fs/cgroup") if mark in folder}


def supervisor_of(server_pid: int | None = None) -> int:
    """The pid of the supervisor below a server, or of that of the provider that was opened last. Fails when there is not exactly one."""
    found = _own() if server_pid is None else _supervisors(server_pid)
    assert len(found) == 1, f"{len(found)} supervisors"
    return found[0]


def zygotes_of(supervisor: int) -> list[int]:
    """The pids of a supervisor's zygotes."""
    return [pid for pid in descendants(supervisor) if status_of(pid).get("PPid") == str(supervisor)]


def templates_of(zygote: int) -> list[int]:
    """The pids of the processes that a zygote has its cells forked from."""
    depth = len(status_of(zygote).get("NSpid", "").split())
    return [pid for pid in descendants(zygote) if len(status_of(pid).get("NSpid", "").split()) == depth]


def cells_of(zygote: int) -> list[int]:
    """The pids of the first programs of a zygote's cells: second in a pid namespace one deeper than the zygote's."""
    depth = len(status_of(zygote).get("NSpid", "").split())
    inside = {pid: status_of(pid).get("NSpid", "").split() for pid in descendants(zygote)}
    return [pid for pid, numbers in inside.items() if len(numbers) == depth + 1 and numbers[-1] == "2"]


def _own() -> list[int]:
    return [pid for pid in _supervisors(os.getpid()) if pid not in _others]


def _supervisors(server_pid: int) -> list[int]:
    return [pid for pid in descendants(server_pid) if b"sandql.providers.local.supervisor" in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
