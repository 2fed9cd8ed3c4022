"""`sandql run`: the program's output as it comes, and its exit code."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from tests.cli.command import sandql_command, start

pytestmark = pytest.mark.unprivileged


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A place for a Python program."""
    return tmp_path / "main.py"


def test_output_goes_where_the_program_sent_it(program: Path) -> None:
    program.write_text("import sys; print('out é'); print('err', file=sys.stderr); sys.stdout.flush(); sys.stdout.buffer.write(bytes(range(256)))")
    done = sandql_command("run", str(program))
    assert (done.returncode, done.stdout, done.stderr) == (0, "out é\n".encode() + bytes(range(256)), b"err\n")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import sys; sys.exit(0)", 0),
        ("import sys; sys.exit(7)", 7),
        ("import sys; sys.exit(255)", 255),
        ("1/0", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 128 + signal.SIGTERM),
        ("import os; os.abort()", 128 + signal.SIGABRT),
    ],
)
def test_it_exits_as_the_program_does(program: Path, code: str, expected: int) -> None:
    program.write_text(code)
    assert sandql_command("run", str(program)).returncode == expected


def test_a_program_that_takes_too_long_ends_and_says_why(program: Path) -> None:
    program.write_text("print('begun', flush=True)\nwhile True: pass")
    done = sandql_command("run", "--timeout", "0.5", str(program))
    assert (done.returncode, done.stdout) == (124, b"begun\n")
    assert done.stderr.startswith(b"sandql: ")
    assert len(done.stderr.splitlines()) == 1


def test_arguments_and_stdin_reach_the_program(program: Path, tmp_path: Path) -> None:
    program.write_text("import sys; print(sys.argv[1:], sys.stdin.read())")
    assert sandql_command("run", str(program), "--", "a", "--timeout", "-x").stdout == b"['a', '--timeout', '-x'] \n"
    assert sandql_command("run", "--stdin", "-", str(program), stdin="é\n".encode()).stdout == "[] é\n\n".encode()
    (tmp_path / "in.txt").write_text("from a file")
    assert sandql_command("run", str(program), "--stdin", str(tmp_path / "in.txt")).stdout == b"[] from a file\n"


def test_stdin_is_empty_unless_it_is_asked_for(program: Path) -> None:
    program.write_text("import sys; print(repr(sys.stdin.read()))")
    assert sandql_command("run", str(program), stdin=b"not for the program").stdout == b"''\n"


@pytest.mark.parametrize(("name", "code"), [("a.sh", "echo $((6 * 7))"), ("a.py", "print(42)"), ("a.JS", "console.log(42)")])
def test_the_language_is_guessed_by_the_ending(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / name).write_text(code)
    done = sandql_command("run", str(tmp_path / name))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"42\n", b"")


def test_output_comes_while_the_program_still_runs(program: Path) -> None:
    program.write_text("import time; print('begun', flush=True); time.sleep(60)")
    with start("run", str(program)) as process:
        assert process.stdout is not None
        watch = threading.Timer(30, process.kill)
        watch.start()
        try:
            assert process.stdout.readline() == b"begun\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 128 + signal.SIGINT
        finally:
            watch.cancel()
            process.kill()


def test_sigterm_ends_the_run_and_leaves_nothing(program: Path, tmp_path: Path) -> None:
    program.write_text("import time; print('begun', flush=True); time.sleep(60)")
    (tmp_path / "tmp").mkdir()
    with start("run", str(program), settings={"TMPDIR": str(tmp_path / "tmp")}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.terminate()
        try:
            assert process.wait(10) == 128 + signal.SIGTERM
        finally:
            process.kill()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_it_ends_when_nobody_reads_its_output(program: Path) -> None:
    program.write_text("while True: print('x' * 1000)")
    with start("run", str(program)) as process:
        assert process.stdout is not None
        assert process.stdout.read(10) == b"x" * 10
        process.stdout.close()
        try:
            assert process.wait(10) == 128 + signal.SIGPIPE
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere.py"], "nowhere.py"),
        (["main.unknown"], "--language"),
        (["main.py", "--language", "klingon"], "klingon"),
        (["main.py", "--timeout", "0"], "timeout"),
        (["main.py", "--timeout", "-1"], "timeout"),
        (["main.py", "--timeout", "nan"], "timeout"),
        (["main.py", "--timeout", "1e300"], "timeout"),
        (["main.py", "--stdin", "nowhere.txt"], "nowhere.txt"),
        (["latin1.py"], "UTF-8"),
        (["."], "directory"),
    ],
)
def test_what_cannot_be_run_is_named(tmp_path: Path, args: list[str], said: str) -> None:
    (tmp_path / "main.py").write_text("print(1)")
    (tmp_path / "main.unknown").write_text("print(1)")
    (tmp_path / "latin1.py").write_bytes("print('é')".encode("latin-1"))
    done = sandql_command("run", os.path.join(tmp_path, args[0]), *(os.path.join(tmp_path, arg) if arg.endswith(".txt") else arg for arg in args[1:]))
    assert done.returncode == 2
    assert done.stdout == b""
    assert said in done.stderr.decode()
    assert b"Traceback" not in done.stderr
