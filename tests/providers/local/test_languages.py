"""The languages of this host, each by really compiling and running programs in it, without a sandbox and with an empty environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandql.core.values import MiB
from sandql.providers.local import hosttools
from sandql.providers.local.hosttools import PATH, as_program, find_program, probe
from sandql.providers.local.javasource import java_names
from sandql.providers.local.languages import BUILD, Toolchain, find_languages

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]

_PYTHON = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
_FOUND = {toolchain.name: toolchain for toolchain in find_languages(_PYTHON)}

# Each prints its first argument and its input, and ends with 3.
_PROGRAMS = {
    "python": "import sys\nprint('hello', sys.argv[1], input())\nsys.exit(3)",
    "javascript": "const fs = require('fs')\nconsole.log('hello', process.argv[2], fs.readFileSync(0, 'utf8').trim())\nprocess.exitCode = 3",
    "typescript": """
        import { readFileSync } from 'fs'
        interface Named { name: string }
        const named: Named = { name: process.argv[2] as string }
        console.log('hello', named.name, readFileSync(0, 'utf8').trim())
        process.exitCode = await Promise.resolve<number>(3)
    """,
    "bash": 'read -r line; echo "hello $1 $line"; exit 3',
    "ruby": 'puts "hello #{ARGV[0]} #{STDIN.gets.chomp}"\nexit 3',
    "perl": 'my $line = <STDIN>; chomp $line; print "hello $ARGV[0] $line\\n"; exit 3;',
    "php": "<?php echo 'hello ', $argv[1], ' ', trim(fgets(STDIN)), \"\\n\"; exit(3);",
    "lua": "print('hello ' .. arg[1] .. ' ' .. io.read())\nos.exit(3)",
    "r": "cat('hello', commandArgs(TRUE)[1], readLines(file('stdin'), 1), '\\n')\nquit(status = 3)",
    "go": """
        package main
        import ("bufio"; "fmt"; "os")
        func main() {
            line, _, _ := bufio.NewReader(os.Stdin).ReadLine()
            fmt.Println("hello", os.Args[1], string(line))
            os.Exit(3)
        }
    """,
    "rust": """
        fn main() {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            println!("hello {} {}", std::env::args().nth(1).unwrap(), line.trim());
            std::process::exit(3)
        }
    """,
    "java": """
        import java.util.Scanner;
        public class Greeter {
            public static void main(String[] args) {
                System.out.println("hello " + args[0] + " " + new Scanner(System.in).nextLine());
                System.exit(3);
            }
        }
    """,
    "c": """
        #include <math.h>
        #include <stdio.h>
        int main(int argc, char **argv) {
            char line[64];
            if (!fgets(line, sizeof line, stdin)) return 1;
            printf("hello %s %s", argv[1], line);
            return (int) sqrt(9.0 * argc / 2);
        }
    """,
    "cpp": """
        #include <iostream>
        #include <string>
        int main(int, char **argv) {
            std::string line;
            std::getline(std::cin, line);
            std::cout << "hello " << argv[1] << " " << line << std::endl;
            return 3;
        }
    """,
}
_COMMANDS = {
    "javascript": "node",
    "bash": "bash",
    "ruby": "ruby",
    "perl": "perl",
    "php": "php",
    "lua": "lua",
    "r": "Rscript",
    "go": "go",
    "rust": "rustc",
    "java": "javac",
    "c": "gcc",
    "cpp": "g++",
}


class _Host:
    """A workspace and a /tmp of a test's own, in which programs are compiled and run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        (folder / "tmp").mkdir()

    def call(self, toolchain: Toolchain, argv: tuple[str, ...], stdin: str = "") -> subprocess.CompletedProcess[str]:
        moved = [part.replace("/tmp/.", f"{self.folder}/tmp/.") for part in argv]
        env = {"PATH": PATH, "HOME": str(self.workspace), "TMPDIR": str(self.folder / "tmp"), "LANG": "C.UTF-8"}
        env |= {name: value.replace("/tmp/.", f"{self.folder}/tmp/.") for name, value in toolchain.env.items()}
        return subprocess.run(moved, cwd=self.workspace, env=env, input=stdin, capture_output=True, text=True, timeout=120)

    def run(self, toolchain: Toolchain, code: str, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        commands = toolchain.commands(code.encode(), 512 * MiB)
        (self.workspace / commands.file_name).write_text(code, encoding="utf-8")
        if commands.compile is not None:
            compiled = self.call(toolchain, commands.compile)
            assert (compiled.returncode, compiled.stdout, compiled.stderr) == (0, "", "")
        return self.call(toolchain, (*commands.run, *args), stdin)


@pytest.fixture
def host(tmp_path: Path) -> _Host:
    return _Host(tmp_path)


def test_what_is_installed_is_found() -> None:
    # Only a real program counts: a version manager's shim in the PATH need not lead to one that a cell can use.
    installed = {name for name, command in _COMMANDS.items() if shutil.which(command, path=PATH)}
    assert {"python", *installed} <= set(_FOUND)


def test_names_and_aliases_are_unambiguous_and_small() -> None:
    names = [name for toolchain in _FOUND.values() for name in (toolchain.name, *toolchain.aliases)]
    assert len(names) == len(set(names))
    assert all(name == name.lower().strip() for name in names)
    assert set(_FOUND) <= set(_PROGRAMS)


@pytest.mark.parametrize("name", sorted(_FOUND))
def test_a_toolchain_says_what_it_is_and_shows_nothing_of_a_home(name: str) -> None:
    toolchain = _FOUND[name]
    assert toolchain.version[0].isdigit()
    for program in (toolchain.run[0], *(toolchain.compile or ())[:1]):
        assert program.startswith(BUILD) or os.path.realpath(program) == program
    for mount in toolchain.mounts:
        assert os.path.isdir(mount)
        assert not str(Path.home()).startswith(mount)
        assert not mount.startswith(("/usr/", "/etc/"))


@pytest.mark.parametrize("name", sorted(_FOUND))
def test_a_program_gets_its_arguments_and_input_and_its_exit_code_is_seen(name: str, host: _Host) -> None:
    done = host.run(_FOUND[name], _PROGRAMS[name], "you there", stdin="input\n")
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("hello you there input", "", 3)


@pytest.mark.parametrize("name", sorted(name for name, toolchain in _FOUND.items() if toolchain.compile))
def test_a_program_that_does_not_compile_is_told_where(name: str, host: _Host) -> None:
    toolchain = _FOUND[name]
    commands = toolchain.commands(b"this is not a program {", 512 * MiB)
    assert commands.compile is not None
    (host.workspace / commands.file_name).write_text("this is not a program {", encoding="utf-8")
    done = host.call(toolchain, commands.compile)
    assert done.returncode != 0
    assert commands.file_name in done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(name for name, toolchain in _FOUND.items() if toolchain.compile))
def test_compiling_leaves_the_workspace_as_it_is(name: str, host: _Host) -> None:
    toolchain = _FOUND[name]
    host.run(toolchain, _PROGRAMS[name], "x", stdin="y\n")
    assert [path.name for path in host.workspace.iterdir()] == [toolchain.commands(_PROGRAMS[name].encode(), 512 * MiB).file_name]


_TYPED = {
    "modules": (
        "import { greet } from './lib/greet.ts'\nimport { createRequire } from 'node:module'\n"
        "const require = createRequire(import.meta.url)\nconsole.log(greet(require('path').basename('/a/b')))",
        "hi b",
    ),
    "require": ("const os = require('os') as { EOL: string }\nconsole.log(os.EOL.length, require('path').basename(__filename))", "1 main.ts"),
}


def test_javascript_may_be_a_module_where_node_can_tell(host: _Host) -> None:
    toolchain = _FOUND["javascript"]
    done = host.run(toolchain, "import fs from 'fs'\nconsole.log(await fs.constants.F_OK)")
    version = tuple(int(part) for part in toolchain.version.split("."))
    assert (done.stdout == "0\n") is (version >= (21, 1) or (20, 10) <= version < (21,)), done.stderr


@pytest.mark.parametrize("style", sorted(_TYPED) if "typescript" in _FOUND else [])
def test_typescript_in_either_style_of_modules(style: str, host: _Host) -> None:
    (host.workspace / "lib").mkdir()
    (host.workspace / "lib" / "greet.ts").write_text("export const greet = (name: string): string => 'hi ' + name", encoding="utf-8")
    code, expected = _TYPED[style]
    done = host.run(_FOUND["typescript"], code)
    assert (done.stdout.strip(), done.stderr) == (expected, "")


@pytest.mark.parametrize("style", ["error"] if "typescript" in _FOUND else [])
def test_an_error_in_typescript_names_the_line_that_was_written(style: str, host: _Host) -> None:
    done = host.run(_FOUND["typescript"], f"type A = {{ x: number }}\n\nconst a: A = {{ x: 1 }}\nthrow new Error('{style} ' + a.x)\n")
    assert done.returncode == 1
    assert "main.ts:4" in done.stderr


@pytest.mark.skipif("java" not in _FOUND, reason="this machine has no java; `make test` installs none, for its size")
def test_the_heap_of_java_follows_the_memory_of_the_run(host: _Host) -> None:
    code = "class Main { public static void main(String[] a) { System.out.println(Runtime.getRuntime().maxMemory() >> 20); } }"
    toolchain = _FOUND["java"]
    small, large = (toolchain.commands(code.encode(), size * MiB).run for size in (128, 512))
    host.run(toolchain, code)
    assert 16 <= int(host.call(toolchain, small).stdout) <= 64
    assert 256 <= int(host.call(toolchain, large).stdout) <= 512


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("public class Main {}", ("Main", "Main")),
        ("class A {} public class B { public static void main(String[] a) {} }", ("B", "B")),
        ("public class Util {} class App { static void main(String... a) {} }", ("Util", "App")),
        ("class Hello { public static void main(String[] a) {} }", ("Hello", "Hello")),
        ("class Main { public static class Node {} public interface Shape {} static void main(String[] a) {} }", ("Main", "Main")),
        ("package a.b.c;\npublic final class X { public static void main(String[] a) {} }", ("X", "a.b.c.X")),
        ("// public class No\n/* public class No { */ public record P(int x) { public static void main(String[] a) {} }", ("P", "P")),
        ("class S { String s = \"public class No { }\"; char c = '{'; static void main(String[] a) {} }", ("S", "S")),
        ('class T { String t = """\n } public class No {\n """; static void main(String[] a) {} }', ("T", "T")),
        ("public @interface Tag {} class R { static void main(String[] a) {} }", ("R", "R")),
        ("public sealed interface Shape permits C {} record C() implements Shape {} enum E { A; void f() {} }", ("Shape", "Shape")),
        ("@Deprecated public abstract\nclass Abc {}", ("Abc", "Abc")),
        ("", ("Main", "Main")),
        ("/* never ends public class No {", ("Main", "Main")),
        ("\udcff".encode("utf-8", "surrogatepass").decode("latin-1"), ("Main", "Main")),
    ],
)
def test_the_names_in_a_java_source(code: str, names: tuple[str, str]) -> None:
    assert java_names(code.encode()) == names


@given(st.binary(max_size=200) | st.text(alphabet="{}\"'/*;\\\n public classmainvoid.", max_size=200).map(str.encode))
def test_a_java_name_is_always_a_plain_file_name(code: bytes) -> None:
    stem, main = java_names(code)
    assert stem
    assert main
    assert "/" not in stem
    assert "\0" not in stem
    assert len(stem.encode()) <= 255


@pytest.mark.parametrize("piece", ["/*", '"""', '"', "'", "public ", "public\n", "class ", "{", "\\"])
def test_a_hostile_java_source_is_read_in_no_time(piece: str) -> None:
    assert java_names((piece * 500_000).encode())[0]


# --- finding programs --------------------------------------------------------


def _program(folder: Path, name: str, source: str = "/bin/true") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(os.path.realpath(source), folder / name)
    return folder / name


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder that others may enter, as the prefix of something installed beside /usr."""
    folder = tmp_path / "prefix"
    folder.mkdir(mode=0o755)
    return folder


def test_a_program_beside_usr_needs_its_prefix_shown(shared: Path) -> None:
    path = _program(shared / "bin", "tool")
    (shared / "links").mkdir()
    (shared / "links" / "tool").symlink_to(path)
    found = find_program("tool", folders=(str(shared / "links"),))
    assert found is not None
    assert (found.path, found.mounts) == (str(path), (str(shared),))
    assert found.search_path == {"PATH": f"{shared}/bin:{PATH}"}


def test_a_script_is_passed_over_for_the_program_behind_it(shared: Path) -> None:
    shims = shared / "shims"
    shims.mkdir()
    (shims / "tool").write_text("#!/bin/sh\nexec tool\n", encoding="utf-8")
    (shims / "tool").chmod(0o755)
    real = _program(shared / "bin", "tool")
    found = find_program("missing", "tool", folders=("relative", str(shims), str(shared / "bin")))
    assert found is not None
    assert found.path == str(real)
    assert find_program("tool", folders=(str(shims),)) is None


def test_a_home_is_never_shown_whole(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(shared))
    for folder in (shared / "bin", shared / ".local" / "bin"):
        assert as_program(str(_program(folder, "tool"))) is None
    kept = _program(shared / ".tools" / "one" / "bin", "tool")
    assert as_program(str(kept)) == hosttools.Program(str(kept), (str(shared / ".tools" / "one"),))


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_program_that_may_not_be_run_is_none(shared: Path, mode: int) -> None:
    path = _program(shared / "bin", "tool")
    path.chmod(mode)
    assert as_program(str(path)) is None
    assert as_program(str(shared / "bin" / "missing")) is None
    assert as_program(str(shared / "bin")) is None


@pytest.mark.parametrize("uid", [0, 1000])
def test_a_server_that_is_root_shows_only_what_others_may_read(shared: Path, uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _program(shared / "bin", "tool")
    path.parent.chmod(0o700)
    monkeypatch.setattr("os.geteuid", lambda: uid)
    assert (as_program(str(path)) is None) == (uid == 0)


def test_a_program_that_fails_or_hangs_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosttools, "_PROBE_S", 0.05)
    assert probe(("/bin/false",)) == ""
    assert probe(("/bin/sleep", "60")) == ""
    assert probe(("/nonexistent/tool",)) == ""
    monkeypatch.setenv("SECRET", "1")
    assert "SECRET" not in probe(("/usr/bin/env",))


def test_commands_without_a_heap_are_the_toolchains_own() -> None:
    plain = replace(_FOUND["python"], compile=("tool", "main.py"))
    commands = plain.commands(b"", 1)
    assert (commands.file_name, commands.compile, commands.run) == (plain.file_name, plain.compile, plain.run)
