"""The languages of this host: which runtimes and compilers are installed, and how each is called."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sandql.core.values import MiB
from sandql.providers.local.hosttools import PATH, Program, as_program, find_program, probe
from sandql.providers.local.javasource import java_names

BUILD: Final = "/tmp/.build"  # what compilers make begins with this, beside the workspace, so that a home is not littered

_NUMBERS: Final = r"(\d+(?:\.\d+)+)"
_WORKERS: Final = 8
_MIN_HEAP_MIB: Final = 16
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Commands:
    """The file that a program is written to, and what compiles it, if anything, and runs it; all relative to the workspace."""

    file_name: str
    compile: tuple[str, ...] | None
    run: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Toolchain:
    """How one language is run: argument vectors without a shell; what follows `run` are the program's own arguments.

    `mounts` are host folders outside /usr, /bin and /lib* that it needs to see, `env` what it needs besides PATH, HOME and LANG.
    `memory_overhead_bytes` is what the runtime takes for itself. `heap_arg` bounds its heap where it would otherwise size that by
    the host's memory; `{mib}` in it is the bound.
    """

    name: str
    aliases: tuple[str, ...]
    version: str
    file_name: str
    compile: tuple[str, ...] | None
    run: tuple[str, ...]
    mounts: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: _NONE)
    memory_overhead_bytes: int = 8 * MiB
    heap_arg: str | None = None

    def commands(self, code: bytes, memory_bytes: int) -> Commands:
        """The commands for a program that may use `memory_bytes` in all."""
        file_name, compile_argv, run = self.file_name, self.compile, self.run
        if self.name == "java" and compile_argv is not None:
            stem, main = java_names(code)
            file_name = f"{stem}.java"
            compile_argv, run = (*compile_argv[:-1], file_name), (*run[:-1], main)
        if self.heap_arg is not None:
            heap = self.heap_arg.format(mib=max(_MIN_HEAP_MIB, (memory_bytes - self.memory_overhead_bytes) // MiB))
            run = (run[0], heap, *run[1:])
            compile_argv = compile_argv and (compile_argv[0], f"-J{heap}", *compile_argv[1:])
        return Commands(file_name, compile_argv, run)


def find_languages(python: str) -> list[Toolchain]:
    """Look for all languages at once; those that are not installed are not in the answer. Takes about as long as the slowest probe.

    `python` is the interpreter that runs Python programs: a base interpreter, so that no package of the server's is seen.
    """
    finders: tuple[Callable[[], list[Toolchain]], ...] = (
        lambda: _python(python),
        _node,
        _bash,
        _ruby,
        _perl,
        _php,
        _lua,
        _r,
        _go,
        _rust,
        _java,
        _c,
    )
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="languages") as pool:
        looks = [pool.submit(find) for find in finders]
        return [toolchain for look in looks for toolchain in look.result()]


def _interpreted(
    name: str, aliases: tuple[str, ...], file_name: str, program: Program | None, ask: tuple[str, ...], version: str, options: tuple[str, ...] = ()
) -> list[Toolchain]:
    """A language whose runtime takes the source as its argument."""
    if program is None or (found := program.ask(*ask, version=version)) is None:
        return []
    run = (program.path, *options, file_name)
    return [Toolchain(name, aliases, found, file_name, None, run, program.mounts, MappingProxyType(program.search_path))]


def _python(python: str) -> list[Toolchain]:
    return _interpreted("python", ("py", "python3"), "main.py", as_program(python), ("-I", "-S", "-V"), r"Python " + _NUMBERS)


def _bash() -> list[Toolchain]:
    return _interpreted("bash", ("sh", "shell"), "main.sh", find_program("bash"), ("--version",), r"bash, version " + _NUMBERS)


def _ruby() -> list[Toolchain]:
    return _interpreted("ruby", ("rb",), "main.rb", find_program("ruby"), ("--version",), r"^ruby " + _NUMBERS)


def _perl() -> list[Toolchain]:
    return _interpreted("perl", ("pl", "perl5"), "main.pl", find_program("perl"), ("-e", "printf 'perl %vd', $^V"), r"^perl " + _NUMBERS)


def _php() -> list[Toolchain]:
    # The run's own limit is the bound, not PHP's; errors belong to stderr, once.
    options = ("-d", "memory_limit=-1", "-d", "display_errors=stderr", "-d", "log_errors=0")
    return _interpreted("php", ("php8",), "main.php", find_program("php"), ("-n", "--version"), r"^PHP " + _NUMBERS, options)


def _lua() -> list[Toolchain]:
    program = find_program("lua", "lua5.4", "lua5.3", "luajit")
    return _interpreted("lua", (), "main.lua", program, ("-v",), r"^Lua(?:JIT)? " + _NUMBERS)


def _r() -> list[Toolchain]:
    return _interpreted("r", ("rscript",), "main.R", find_program("Rscript"), ("--version",), r"version " + _NUMBERS, ("--vanilla",))


def _node() -> list[Toolchain]:
    program = find_program("node", "nodejs")
    found = _interpreted("javascript", ("js", "node", "nodejs"), "main.js", program, ("--version",), r"^v" + _NUMBERS)
    if program is None or not found:
        return []
    version = _parts(found[0].version)
    node = Toolchain(
        name="javascript",
        aliases=found[0].aliases,
        version=found[0].version,
        file_name="main.js",
        compile=None,
        run=(program.path, *_module_options(version), "main.js"),
        mounts=program.mounts,
        env=found[0].env,
        memory_overhead_bytes=48 * MiB,
    )
    return [node, *_typescript(node, program, version)]


def _typescript(node: Toolchain, program: Program, version: tuple[int, ...]) -> list[Toolchain]:
    """TypeScript by node itself where it can, else bundled by esbuild into one module."""
    mounts, run, compile_argv = node.mounts, (program.path, *_type_options(version), "main.ts"), None
    if version < (22, 6):
        esbuild = find_program("esbuild")
        if esbuild is None or esbuild.ask("--version", version=_NUMBERS) is None:
            return []
        target = f"{BUILD}.mjs"
        # What a module lacks but many programs use; as globals, they do not stand in the way of a program's own declarations.
        banner = (
            'import { createRequire as sandqlRequire } from "node:module";'
            'globalThis.require ??= sandqlRequire(process.cwd() + "/main.ts");'
            'globalThis.__filename ??= process.cwd() + "/main.ts";globalThis.__dirname ??= process.cwd();'
        )
        options = ("--bundle", "--platform=node", "--format=esm", f"--target=node{version[0]}", "--sourcemap=inline", "--log-level=warning")
        compile_argv = (esbuild.path, "main.ts", *options, f"--banner:js={banner}", f"--outfile={target}")
        run = (program.path, "--enable-source-maps", target)
        mounts += tuple(mount for mount in esbuild.mounts if mount not in mounts)
    return [
        Toolchain(
            name="typescript",
            aliases=("ts",),
            version=node.version,
            file_name="main.ts",
            compile=compile_argv,
            run=run,
            mounts=mounts,
            env=node.env,
            memory_overhead_bytes=node.memory_overhead_bytes,
        )
    ]


def _module_options(version: tuple[int, ...]) -> tuple[str, ...]:
    """What makes node tell `import` from `require`: newer ones do by themselves, and those before can't."""
    if version >= (22, 7) or (20, 19) <= version < (21,):
        return ()
    return ("--experimental-detect-module",) if version >= (21, 1) or (20, 10) <= version < (21,) else ()


def _type_options(version: tuple[int, ...]) -> tuple[str, ...]:
    if (22, 7) <= version < (26,):  # enums and namespaces too
        return ("--experimental-transform-types", "--disable-warning=ExperimentalWarning")
    return ("--experimental-strip-types", "--disable-warning=ExperimentalWarning") if version < (22, 7) else ()


def _go() -> list[Toolchain]:
    program = find_program("go", folders=(*os.environ.get("PATH", "").split(os.pathsep), *PATH.split(":"), "/usr/local/go/bin"))
    if program is None or (version := program.ask("version", version=r"^go version go" + _NUMBERS)) is None:
        return []
    compiler = find_program("gcc", "cc", "clang")
    env = {
        **program.search_path,
        "GOCACHE": "/tmp/.cache/go-build",
        "GOPATH": "/tmp/.cache/go",
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOTELEMETRY": "off",
        # The standard library as it is installed may be built with cgo: without it, `net` would be compiled anew in each run.
        **({"CGO_ENABLED": "0"} if compiler is None else {"CGO_ENABLED": "1", "CC": compiler.path}),
    }
    target = f"{BUILD}-main"
    # Two at a time: go starts a compiler for each core, and those of a large host are more than a run may have processes.
    compile_argv = (program.path, "build", "-p=2", "-o", target, "main.go")
    mounts = _mounts(program, compiler)
    return [Toolchain("go", ("golang",), version, "main.go", compile_argv, (target,), mounts, MappingProxyType(env), 64 * MiB)]


def _rust() -> list[Toolchain]:
    linker = find_program("gcc", "cc", "clang")
    program = _real_rustc()
    if program is None or linker is None or (version := program.ask("--version", version=r"^rustc " + _NUMBERS)) is None:
        return []
    target = f"{BUILD}-main"
    compile_argv = (program.path, "--edition=2021", "-C", f"linker={linker.path}", "-o", target, "main.rs")
    env = MappingProxyType(program.search_path)
    return [Toolchain("rust", ("rs",), version, "main.rs", compile_argv, (target,), _mounts(program, linker), env, 8 * MiB)]


def _real_rustc() -> Program | None:
    """rustc itself: what is in the PATH may be rustup's proxy, which only knows where it is."""
    home = str(Path.home())
    for folder in (*os.environ.get("PATH", "").split(os.pathsep), *PATH.split(":"), f"{home}/.cargo/bin"):
        path = os.path.join(folder, "rustc")
        if not os.path.isabs(folder) or not os.access(path, os.X_OK):
            continue
        if os.path.basename(os.path.realpath(path)) == "rustc":
            found = as_program(path)
        else:
            known = {name: os.environ[name] for name in ("RUSTUP_HOME", "CARGO_HOME") if name in os.environ}
            lines = probe((path, "--print", "sysroot"), {"PATH": PATH, "HOME": home, **known}).splitlines()
            found = as_program(os.path.join(lines[-1], "bin", "rustc")) if lines else None
        if found is not None:
            return found
    return None


def _java() -> list[Toolchain]:
    compiler = find_program("javac")
    runtime = None if compiler is None else as_program(os.path.join(os.path.dirname(compiler.path), "java"))
    if compiler is None or runtime is None or (version := _java_version(runtime)) is None:
        return []
    classes = f"{BUILD}-classes"
    # For short programs: less to start, fewer threads, and no file shared with other processes.
    options = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto")
    compile_argv = (compiler.path, *(f"-J{option}" for option in options), "-encoding", "UTF-8", "-d", classes, "Main.java")
    run = (runtime.path, *options, "-cp", f"{classes}:.", "Main")
    env = MappingProxyType(runtime.search_path)
    return [Toolchain("java", ("jdk",), version, "Main.java", compile_argv, run, runtime.mounts, env, 96 * MiB, "-Xmx{mib}m")]


def _java_version(runtime: Program) -> str | None:
    """From the file that each JDK has; to start a JVM for it would take longer than all other probes."""
    try:
        text = Path(runtime.path).parents[1].joinpath("release").read_text(encoding="utf-8")
    except OSError:
        return runtime.ask("-version", version=r'version "([^"]+)"')
    found = re.search(r'^JAVA_VERSION="([^"]+)"', text, re.MULTILINE)
    return None if found is None else found.group(1)


def _c() -> list[Toolchain]:
    """C and C++ by gcc, else clang. The optimiser stays low: most programs run for less time than it would take."""
    found: list[Toolchain] = []
    for name, aliases, file_name, names, options in (
        ("c", ("gcc", "cc"), "main.c", ("gcc", "cc", "clang"), ("-lm", "-lpthread")),
        ("cpp", ("c++", "cxx", "g++"), "main.cpp", ("g++", "c++", "clang++"), ("-lpthread",)),
    ):
        program = find_program(*names)
        version = None if program is None else program.ask("-dumpfullversion", "-dumpversion", version=r"^(\d+(?:\.\d+)*)\s*$")
        if program is None or version is None:
            continue
        target = f"{BUILD}-main"
        compile_argv = (program.path, "-O1", "-o", target, file_name, *options)
        env = MappingProxyType(program.search_path)
        found.append(Toolchain(name, aliases, version, file_name, compile_argv, (target,), program.mounts, env))
    return found


def _mounts(*programs: Program | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(mount for program in programs if program is not None for mount in program.mounts))


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
