"""The loop of system calls, by which cells are made: as machine code and as Python it does the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandql.providers import local

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]

_BOTH = pytest.mark.parametrize("slowly", [False, True], ids=["by the machine's loop", "by Python"])
_BEGIN = """
import ctypes, json, os, sys
from cell.script import Script, StepFailed
slowly = sys.argv[1] == "True"
def sealed(script):
    script.seal()
    if slowly:
        script._loop = script._alone = None
    return script
"""


def _run(folder: Path, program: str, slowly: bool) -> Any:
    """What the program prints, as JSON: run in a process of its own, as a zygote runs these modules."""
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + program, str(slowly)],
        env={"PYTHONPATH": str(Path(local.__file__).parent)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return json.loads(done.stdout)


@_BOTH
def test_calls_are_made_in_order_and_an_opened_file_is_handed_on(tmp_path: Path, slowly: bool) -> None:
    (tmp_path / "file").touch()
    program = """
script = Script()
script.add_write(b"file", b"written")
script.add("dup3", 1, 9, 0)
sealed(script).run()
os.write(9, b"1")
"""
    assert _run(tmp_path, program, slowly) == 1
    assert (tmp_path / "file").read_text() == "written"


@_BOTH
def test_a_call_that_fails_is_named_and_the_script_can_be_run_again(tmp_path: Path, slowly: bool) -> None:
    program = """
script = Script()
script.add_write(b"file", b"written")
said = []
sealed(script)
for _ in range(2):
    try:
        script.run()
    except StepFailed as error:
        said.append([error.step, error.errno, str(error)])
open("file", "w").close()
script.run()
print(json.dumps([said, open("file").read()]))
"""
    said, written = _run(tmp_path, program, slowly)
    assert said == [[0, 2, "[Errno 2] openat: No such file or directory"]] * 2
    assert written == "written"


@_BOTH
def test_a_step_that_jumps_goes_back_until_its_call_returns_nothing_and_tells_an_error(tmp_path: Path, slowly: bool) -> None:
    """As a template forks: the parent goes back, its failure is written down, the child goes on."""
    program = """
script = Script()
told = script.put(bytes(8))
buffer = script.put(bytes(8))
first = script.add("write", 9, b"x", 1)
script.add("read", 8, buffer, 1, jumps_to=first)
script.add("read", -1, buffer, told, jumps_to=4)
script.add("write", 9, b"never", 5)
script.add("write", 9, b"end", 3)
r, w = os.pipe()
os.write(w, b"abc")
os.close(w)
os.dup2(r, 8)
r, w = os.pipe()
os.dup2(w, 9)
sealed(script).run()
print(json.dumps([os.read(r, 99).decode(), ctypes.c_int64.from_address(told).value]))
"""
    assert _run(tmp_path, program, slowly) == ["xxxxend", -9]


@_BOTH
def test_alone_it_needs_nothing_but_itself_and_makes_the_calls_that_it_reads(tmp_path: Path, slowly: bool) -> None:
    program = """
import struct
from cell.confine import _add_reading
from cell.pages import needless_memory
from cell.steps import ROOM_AT, STEP_BYTES, step
machine = os.uname().machine
text = ROOM_AT + 2 * STEP_BYTES
words = step("write", 1, text, 4, machine=machine) + step("execve", 0, 0, 0, machine=machine)
steps = struct.pack("=16Q", *words) + b"true"
r, w = os.pipe()
os.write(w, struct.pack("=Q", len(steps)) + steps)
os.dup2(r, 0)
pid = os.fork()
if pid == 0:
    script = Script(room=True)
    if not slowly:
        for start, size in needless_memory():
            script.add("munmap", start, size)
    size, reading = _add_reading(script, [])
    sealed(script)
    script.point(size, 1, script.address(reading, 2))
    script.run_alone()
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 125  # execve of nothing fails
"""
    assert _run(tmp_path, program, slowly) is True


def test_a_script_that_is_too_long_is_refused(tmp_path: Path) -> None:
    program = """
script = Script()
script.put(bytes(65000))
for _ in range(20):
    script.add("setsid")
try:
    script.seal()
except MemoryError as error:
    print(json.dumps(str(error)))
"""
    assert "at most 65536 bytes" in _run(tmp_path, program, slowly=False)


@pytest.mark.parametrize("python", sorted({sys.executable, os.path.realpath(sys.executable)}))
def test_a_program_in_huge_pages_is_the_same_program(tmp_path: Path, python: str) -> None:
    program = """
from cell import pages
before = open("/proc/self/maps").read().count("r-xp")
pages.use_huge_pages()
import re, json.decoder
print(json.dumps([re.sub("a", "b", "banana"), before > 0]))
"""
    done = subprocess.run(
        [python, "-c", _BEGIN + program, "False"], env={"PYTHONPATH": str(Path(local.__file__).parent)}, cwd=tmp_path, capture_output=True, check=True
    )
    assert json.loads(done.stdout) == ["bbnbnb", True]
