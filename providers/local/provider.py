"""The local provider: it ties the engine, the languages and the homes together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, Final

from sandql.core.settings import Settings
from sandql.core.values import Isolation, Language
from sandql.providers.base import Health
from sandql.providers.local import mends
from sandql.providers.local.cell.seccomp import build_filter
from sandql.providers.local.engine import Engine, EngineConfig
from sandql.providers.local.findings import look_at_host, reasons
from sandql.providers.local.homes import Homes
from sandql.providers.local.jobs import Jobs, cell_limits, widest_limits
from sandql.providers.local.languages import Toolchain, find_languages
from sandql.providers.local.rundir import RunDir
from sandql.providers.local.sandbox import LocalSandbox
from sandql.providers.local.supervisor import is_root_outside

_NAMESPACES: Final = ("user", "mount", "pid", "net", "ipc", "uts", "cgroup")
_HOME_SWEEP_S: Final = 600.0
_FDS_WANTED: Final = 1 << 16
_SCRIPTS: Final = "/.sandql"
_NODE_WAITER: Final = f"{_SCRIPTS}/wait.cjs"
_IN_PYTHON_PREFIX: Final = ("/usr/", "/bin/", "/lib")


class LocalProvider:
    """Sandboxes on this machine."""

    name = "local"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._toolchains: dict[str, Toolchain] = {}
        self._languages: tuple[Language, ...] = ()
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Find the languages, start the engine and the sweeping of idle homes."""
        settings = self._settings
        _raise_fd_limit()
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        python = _base_python()
        found = await asyncio.to_thread(find_languages, python)
        self._toolchains = {toolchain.name: toolchain for toolchain in found}
        self._languages = tuple(Language(item.name, item.aliases, item.version, item.compile is not None) for item in found)
        self._homes = Homes(settings.state_dir / "homes")
        run_dir = self._stack.enter_context(RunDir(settings.state_dir / "run"))
        node = self._toolchains.get("javascript")
        pools = {"python": settings.pool_size}
        if node is not None and settings.node_pool_size:
            pools["node"] = settings.node_pool_size
        if settings.program_pool_size:
            pools["program"] = settings.program_pool_size
        config = self._supervisor_config(python, run_dir.path, node)
        self._engine = Engine(EngineConfig(config, pools, settings.max_concurrent_runs, settings.max_queued_runs))
        self._stack.push_async_callback(self._engine.aclose)
        await self._start_engine()
        self._jobs = Jobs(self._toolchains, settings, config["env"], parked=pools, memory_grouped=self._engine.cgroup != "none")
        sweeper = asyncio.create_task(self._sweep_homes())
        self._stack.callback(sweeper.cancel)

    async def aclose(self) -> None:
        """End every run and remove what the engine made; homes stay."""
        await self._stack.aclose()

    def languages(self) -> Sequence[Language]:
        """The languages that this host has."""
        return self._languages

    def isolation(self) -> Isolation:
        """What stands between a run and this host."""
        engine = self._engine
        if engine.unavailable is not None:
            return Isolation("none", (), False, engine.landlock, engine.cgroup, "none")
        level = "full" if engine.landlock and engine.cgroup != "none" else "reduced"
        return Isolation(level, _NAMESPACES, True, engine.landlock, engine.cgroup, "loopback")

    def health(self) -> Health:
        """Whether this host can isolate, and if not, why."""
        reason = self._engine.unavailable
        return Health(reason is None, reason or "ready")

    def fresh(self) -> contextlib.AbstractAsyncContextManager[LocalSandbox]:
        """A sandbox for one run; its cell is taken when the run begins and is gone when it ends: here there is nothing to give back."""
        return contextlib.nullcontext(LocalSandbox(self._engine, self._jobs, self._settings, self.isolation(), None))

    @contextlib.asynccontextmanager
    async def home(self, owner: str) -> AsyncGenerator[LocalSandbox]:
        """The owner's home."""
        lending = asyncio.ensure_future(asyncio.to_thread(self._homes.lend, owner))
        try:
            home = await asyncio.shield(lending)
        except asyncio.CancelledError:  # the thread goes on
            lending.add_done_callback(lambda done: done.exception() or self._homes.give_back(done.result()))
            raise
        try:
            yield LocalSandbox(self._engine, self._jobs, self._settings, self.isolation(), home)
        finally:
            self._homes.give_back(home)

    async def _start_engine(self) -> None:
        if is_root_outside():
            self._engine.refuse(mends.ROOT_OUTSIDE)
            return
        await self._engine.start()
        if self._engine.unavailable is not None:
            found = reasons(await asyncio.to_thread(look_at_host, self._settings))
            self._engine.refuse(f"{self._engine.unavailable}. {found}".rstrip())

    def _supervisor_config(self, python: str, run_dir: Path, node: Toolchain | None) -> dict[str, Any]:
        settings = self._settings
        prefix = str(Path(python).parent.parent)
        mounts = {path for toolchain in self._toolchains.values() for path in toolchain.mounts}
        path = "/usr/local/bin:/usr/bin:/bin"
        if not python.startswith(_IN_PYTHON_PREFIX):
            mounts.add(prefix)
            path = f"{prefix}/bin:{path}"
        mounts |= {name for name in ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64") if os.path.isdir(name) and not os.path.islink(name)}
        machine = os.uname().machine
        shell = self._toolchains.get("bash")
        scripts = {f"{_SCRIPTS}/{name}": Path(__file__).with_name(name).read_text() for name in ("wait.cjs", "warm.cjs")}
        env = {"PATH": path, "HOME": "/workspace", "LC_CTYPE": "C.UTF-8", "USER": "sandbox", "SHELL": "/bin/sh"}
        return {
            "group": str(os.getpid()),
            "memory_bytes": settings.memory_bytes,
            "processes": settings.processes,
            "zygotes": ["fresh"],
            "homes": str(self._homes.folder),
            "python": python,
            "env": env,
            "run_dir": str(run_dir),
            "zygote": {
                "root": str(run_dir / "root"),
                "mounts": sorted(mounts),
                "files": scripts,
                "sizes": (settings.workspace_bytes, settings.workspace_inodes),
                "seccomp_zygote": build_filter(machine, "zygote"),
                "seccomp_cell": build_filter(machine, "cell"),
                "limits": {grouped: cell_limits(widest_limits(settings), memory_grouped=grouped) for grouped in (True, False)},
                "node": [*node.run[:-1], _NODE_WAITER] if node else None,
                "programs": settings.program_pool_size > 0,
                "shell": shell.run[0] if shell else None,
            },
        }

    async def _sweep_homes(self) -> None:
        while True:
            await asyncio.to_thread(self._homes.remove_idle, self._settings.home_idle_s)
            await asyncio.sleep(_HOME_SWEEP_S)


def _base_python() -> str:
    """The interpreter below this one's virtual environment: a cell sees no package of the server's."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def _raise_fd_limit() -> None:
    """Each run holds five descriptors: take as many as the hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FDS_WANTED if hard == resource.RLIM_INFINITY else min(hard, _FDS_WANTED)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
