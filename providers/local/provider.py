"""The local provider: it ties the engine, the languages and the homes together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from sandql.core.kept import DEFAULT_TEMPLATE, SandboxSpec, Template
from sandql.core.limits import widest_limits
from sandql.core.load import Load
from sandql.core.settings import Settings
from sandql.core.values import HOME, Isolation, Language
from sandql.providers.base import Health
from sandql.providers.local import mends
from sandql.providers.local.cell.seccomp import build_filter
from sandql.providers.local.engine import Engine, EngineConfig
from sandql.providers.local.findings import look_at_host, reasons
from sandql.providers.local.holding import LocalHolding
from sandql.providers.local.homes import Home, Homes, name_of_home
from sandql.providers.local.host_uids import RUN_UIDS, is_root_outside
from sandql.providers.local.jobs import Jobs, cell_limits
from sandql.providers.local.languages import Toolchain, find_languages
from sandql.providers.local.residents import Residents
from sandql.providers.local.rundir import RunDir
from sandql.providers.local.sandbox import Kept, LocalSandbox
from sandql.providers.local.template_engines import TemplateEngines
from sandql.providers.local.template_store import Built, TemplateStore
from sandql.providers.local.watching import Watching
from sandql.usage.storage import Share

_NAMESPACES: Final = ("user", "mount", "pid", "net", "ipc", "uts", "cgroup")
_HOME_SWEEP_S: Final = 600.0
_TEMPLATE_POOL: Final = 2
_MOST_TEMPLATES: Final = 9
_TEMPLATE_UIDS: Final = 9_000  # of those for cells, for all templates together
_FDS_WANTED: Final = 1 << 16
_SCRIPTS: Final = "/.sandql"
_NODE_WAITER: Final = f"{_SCRIPTS}/wait.cjs"
_IN_PYTHON_PREFIX: Final = ("/usr/", "/bin/", "/lib")

_log: Final = structlog.get_logger()


class LocalProvider:
    """Sandboxes on this machine."""

    name = "local"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._toolchains: dict[str, Toolchain] = {}
        self._languages: tuple[Language, ...] = ()
        self._stack = contextlib.AsyncExitStack()
        self._residents = Residents()
        self._gone: set[str] = set()  # destroyed sandboxes that somebody still has

    async def start(self) -> None:
        """Find the languages, start the engine and the sweeping of idle homes."""
        settings = self._settings
        _raise_limits()
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        python = base_python()
        found = await asyncio.to_thread(find_languages, python)
        self._toolchains = {toolchain.name: toolchain for toolchain in found}
        self._languages = tuple(Language(item.name, item.aliases, item.version, item.compile is not None) for item in found)
        self._templates = TemplateStore(settings.state_dir / "templates", python)
        self._homes = Homes(settings.state_dir / "homes", self._residents.stamp)
        self._stack.enter_context(self._homes.in_use())
        self._watching = Watching(settings.max_watched_folders)
        self._stack.callback(self._watching.close)
        run_dir = self._stack.enter_context(RunDir(settings.state_dir / "run"))
        node = self._toolchains.get("javascript")
        pools = {"python": settings.pool_size}
        if node is not None and settings.node_pool_size:
            pools["node"] = settings.node_pool_size
        if settings.program_pool_size:
            pools["program"] = settings.program_pool_size
        self._config = partial(self._supervisor_config, python, run_dir.path, node)
        config = self._config(None)
        self._engine = Engine(EngineConfig(config, pools, settings.max_concurrent_runs, settings.max_queued_runs))
        self._stack.push_async_callback(self._engine.aclose)
        await self._start_engine()
        self._jobs = Jobs(self._toolchains, settings, config["env"], parked=pools, memory_grouped=self._engine.cgroup != "none")
        self._template_engines = TemplateEngines(self._templates, self._template_engine)
        self._stack.push_async_callback(self._template_engines.aclose)
        sweeper = asyncio.create_task(self._sweep_homes())
        self._stack.callback(sweeper.cancel)

    async def aclose(self) -> None:
        """End every run and remove what the engine made; homes stay."""
        await self._stack.aclose()

    def languages(self) -> Sequence[Language]:
        """The languages that this host has."""
        return self._languages

    def templates(self) -> Sequence[Template]:
        """The templates of this host."""
        return (Template(DEFAULT_TEMPLATE, True, "what the runtimes of this host have by themselves"), *self._templates.list())

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

    def load(self) -> Load:
        """How busy the engine is; those of templates are not counted."""
        return self._engine.load()

    def fresh(self, template: str = DEFAULT_TEMPLATE) -> contextlib.AbstractAsyncContextManager[LocalSandbox]:
        """A sandbox for one run; its cell is taken when the run begins and is gone when it ends: here there is nothing to give back."""
        if template == DEFAULT_TEMPLATE:
            return contextlib.nullcontext(LocalSandbox(self._engine, self._jobs, self._settings, self.isolation()))
        return self._of_template(template)

    def home(self, owner: str, share: Share | None = None) -> contextlib.AbstractAsyncContextManager[LocalSandbox]:
        """The owner's home."""
        return self._lent(HOME, partial(self._homes.lend, owner), SandboxSpec(limits=widest_limits(self._settings)), share)

    def home_ref(self, owner: str) -> str:
        """The name of the owner's home."""
        return name_of_home(owner)

    async def create(self, sandbox_id: str, spec: SandboxSpec) -> str:
        """Make the directory of a kept sandbox, whose name is its id."""
        if spec.template != DEFAULT_TEMPLATE:
            await asyncio.to_thread(self._templates.find, spec.template)
        await asyncio.to_thread(self._homes.make, sandbox_id)
        return sandbox_id

    def connect(
        self, sandbox_id: str, ref: str, spec: SandboxSpec, share: Share | None = None
    ) -> contextlib.AbstractAsyncContextManager[LocalSandbox]:
        """A kept sandbox."""
        return self._lent(sandbox_id, partial(self._homes.lend_kept, ref), spec, share)

    def holding(self, ref: str) -> LocalHolding:
        """What a kept sandbox or a home holds."""
        return LocalHolding(self._homes.folder / ref / "files", partial(self._residents.stamp, ref))

    async def destroy(self, ref: str) -> None:
        """End what runs in a kept sandbox, and remove its directory."""
        await self._residents.evict(ref)
        self._watching.end(ref)
        await asyncio.to_thread(self._homes.remove, ref)
        self._gone.add(ref)
        self._forget_if_gone(ref)

    async def existing(self) -> Collection[str]:
        """The kept sandboxes of which there is a directory."""
        return await asyncio.to_thread(self._homes.kept)

    @contextlib.asynccontextmanager
    async def _lent(self, sandbox_id: str, lend: Callable[[], Home], spec: SandboxSpec, share: Share | None) -> AsyncGenerator[LocalSandbox]:
        lending = asyncio.ensure_future(asyncio.to_thread(lend))
        try:
            home = await asyncio.shield(lending)
        except asyncio.CancelledError:  # the thread goes on
            lending.add_done_callback(lambda done: done.exception() or self._homes.give_back(done.result()))
            raise
        try:
            kept = Kept(sandbox_id, home, self._residents, self._watching, spec.limits, share)
            if spec.template == DEFAULT_TEMPLATE:
                yield LocalSandbox(self._engine, self._jobs, self._settings, self.isolation(), kept)
            else:
                async with self._of_template(spec.template, kept) as sandbox:
                    yield sandbox
        finally:
            self._homes.give_back(home)
            self._forget_if_gone(home.name)

    def _forget_if_gone(self, name: str) -> None:
        if name in self._gone and not self._homes.is_lent(name):
            self._gone.discard(name)
            self._residents.forget(name)

    @contextlib.asynccontextmanager
    async def _of_template(self, template: str, kept: Kept | None = None) -> AsyncGenerator[LocalSandbox]:
        async with self._template_engines.using(template) as (engine, jobs):
            yield LocalSandbox(engine, jobs, self._settings, self.isolation(), kept)

    def _template_engine(self, built: Built) -> tuple[Engine, Jobs]:
        """The engine of a template, not yet started: it parks Python cells only, and few."""
        config = self._config(built)
        pools = {"python": _TEMPLATE_POOL}
        settings = self._settings
        engine = Engine(EngineConfig(config, pools, settings.max_concurrent_runs, settings.max_queued_runs))
        return engine, Jobs(self._toolchains, settings, config["env"], parked=pools, memory_grouped=self._engine.cgroup != "none")

    async def _start_engine(self) -> None:
        if is_root_outside():
            self._engine.refuse(mends.ROOT_OUTSIDE)
            return
        await self._engine.start()
        if self._engine.unavailable is not None:
            found = reasons(await asyncio.to_thread(look_at_host, self._settings))
            self._engine.refuse(f"{self._engine.unavailable}. {found}".rstrip())

    def _supervisor_config(self, python: str, run_dir: Path, node: Toolchain | None, built: Built | None) -> dict[str, Any]:
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
        scripts = {f"{_SCRIPTS}/{name}": Path(__file__).with_name(name).read_text() for name in ("wait.cjs", "warm.cjs", "context.cjs")}
        env = {"PATH": path, "HOME": "/workspace", "LC_CTYPE": "C.UTF-8", "USER": "sandbox", "SHELL": "/bin/sh"}
        run_uids = (0, RUN_UIDS - _TEMPLATE_UIDS)
        if built is not None:
            env |= built.env
            at = [template.name for template in self._templates.list()].index(built.name)
            run_uids = (run_uids[1] + at * _TEMPLATE_UIDS // _MOST_TEMPLATES, _TEMPLATE_UIDS // _MOST_TEMPLATES)
        return {
            "group": str(os.getpid()) if built is None else f"{os.getpid()}-{built.name}",
            "run_uids": run_uids,
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
                "programs": settings.program_pool_size > 0 and built is None,
                "site": () if built is None else (str(built.folder), built.place),
                "shell": shell.run[0] if shell else None,
            },
        }

    async def _sweep_homes(self) -> None:
        while True:
            try:
                self._residents.forget_stamps(await asyncio.to_thread(self._homes.remove_idle, self._settings.home_idle_s))
                await self._template_engines.end_idle()
            except Exception:
                _log.exception("idle homes could not be removed; it is tried again")
            await asyncio.sleep(_HOME_SWEEP_S)


def base_python() -> str:
    """The interpreter below this one's virtual environment: a cell sees no package of the server's."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def _raise_limits() -> None:
    """Each run holds five descriptors: take as many as the hard limit allows. Cells have a core limit of 1, for which this one must not be lower."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FDS_WANTED if hard == resource.RLIM_INFINITY else min(hard, _FDS_WANTED)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        with contextlib.suppress(ValueError):  # only root may; the doctor says what that means
            resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
