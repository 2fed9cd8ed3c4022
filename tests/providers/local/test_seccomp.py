"""The system call filter, number by number, by an interpreter of its program: for both machines, and without the kernel."""

from __future__ import annotations

import struct
from errno import EAFNOSUPPORT, ENOMEM, ENOSYS, EPERM, EPROTONOSUPPORT

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandql.providers.local.cell.seccomp import build_filter, install
from tests.support.syscalls import COLUMN, LOOKED_AT, NUMBERS, ONLY_X86_64

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]

_X86_64, _AARCH64, _I386, _ARM = 0xC000003E, 0xC00000B7, 0x40000003, 0x40000028
_ARCH = {"x86_64": _X86_64, "aarch64": _AARCH64}
_PROGRAMS = {machine: build_filter(machine) for machine in _ARCH}
_NEWEST = 469
_X32_BIT = 0x40000000

_CLONE3 = (435, 435)
_MACHINES = tuple(_ARCH)


def _judge(program: bytes, arch: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel would do with a call: 0 for allowed, else the error number."""
    words = [argument & (2**64 - 1) for argument in (*arguments, *(0,) * (6 - len(arguments)))]
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *words)
    at = accumulator = 0
    while True:
        code, on_true, on_false, value = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        if code == 0x06:
            action, error = value & 0xFFFF0000, value & 0xFFFF
            assert action in (0x7FFF0000, 0x00050000)
            return error
        if code == 0x20:
            assert value % 4 == 0
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            accumulator &= value
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x25: accumulator > value, 0x45: bool(accumulator & value)}[code]
            at += on_true if holds else on_false


def _ask(machine: str, name: str, *arguments: int) -> int:
    return _judge(_PROGRAMS[machine], _ARCH[machine], LOOKED_AT[name][COLUMN[machine]], arguments)


@pytest.mark.parametrize("machine", _MACHINES)
@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_each_listed_call_is_refused_whatever_its_arguments(machine: str, name: str) -> None:
    for arguments in ((0,) * 6, (2**64 - 1,) * 6):
        assert _judge(_PROGRAMS[machine], _ARCH[machine], NUMBERS[name][COLUMN[machine]], arguments) == EPERM


@pytest.mark.parametrize("name", sorted(ONLY_X86_64))
def test_calls_of_x86_64_alone_are_refused_there(name: str) -> None:
    assert _judge(_PROGRAMS["x86_64"], _X86_64, ONLY_X86_64[name]) == EPERM


@pytest.mark.parametrize("machine", _MACHINES)
def test_every_other_known_call_is_allowed(machine: str) -> None:
    column = COLUMN[machine]
    judged = {numbers[column] for numbers in (*NUMBERS.values(), *LOOKED_AT.values(), _CLONE3)}
    judged |= set(ONLY_X86_64.values()) if machine == "x86_64" else set()
    refused = {number for number in range(_NEWEST + 1) if _judge(_PROGRAMS[machine], _ARCH[machine], number, (2**64 - 1,) * 6)}
    assert refused <= judged


@pytest.mark.parametrize("machine", _MACHINES)
@given(number=st.integers(0, 2**32 - 1), arch=st.sampled_from([_X86_64, _AARCH64, _I386, _ARM, 0, 2**32 - 1]))
def test_another_architecture_or_an_unknown_number_does_not_exist(machine: str, number: int, arch: int) -> None:
    answer = _judge(_PROGRAMS[machine], arch, number, (1,))
    if arch != _ARCH[machine] or number > _NEWEST:
        assert answer == ENOSYS


@pytest.mark.parametrize("number", [0, 1, 39, 59, 101, 165, 272, 512, 520, 547])
def test_x32_numbers_do_not_exist(number: int) -> None:
    assert _judge(_PROGRAMS["x86_64"], _X86_64, number | _X32_BIT) == ENOSYS


@pytest.mark.parametrize("machine", _MACHINES)
def test_clone3_does_not_exist_so_that_clone_is_used(machine: str) -> None:
    assert _judge(_PROGRAMS[machine], _ARCH[machine], 435) == ENOSYS


_NAMESPACES = (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
_THREAD = 0x3D0F00  # what glibc gives for pthread_create
_SIGCHLD = 17


@pytest.mark.parametrize("machine", _MACHINES)
def test_clone_makes_processes_and_threads_but_no_namespaces(machine: str) -> None:
    assert _ask(machine, "clone", _SIGCHLD) == 0
    assert _ask(machine, "clone", 0x1200011) == 0  # fork of glibc
    assert _ask(machine, "clone", _THREAD) == 0
    assert _ask(machine, "clone", 0x4111) == 0  # CLONE_VM | CLONE_VFORK | SIGCHLD
    for flag in _NAMESPACES:
        assert _ask(machine, "clone", flag | _SIGCHLD) == EPERM
        assert _ask(machine, "clone", flag | 1 << 40) == EPERM  # the kernel drops the high half, and so must the filter


_CLOEXEC, _NONBLOCK = 0o2000000, 0o4000


@pytest.mark.parametrize("machine", _MACHINES)
@pytest.mark.parametrize("extra", [0, _CLOEXEC, _NONBLOCK, _CLOEXEC | _NONBLOCK])
def test_sockets_are_local_internet_or_route(machine: str, extra: int) -> None:
    for kind in (1, 2, 5):
        assert _ask(machine, "socket", 1, kind | extra) == 0
    for family in (2, 10):
        for kind, protocol in ((1, 0), (1, 6), (2, 0), (2, 17)):
            assert _ask(machine, "socket", family, kind | extra, protocol) == 0
        for kind in (3, 4, 5, 6, 10):
            assert _ask(machine, "socket", family, kind | extra) == EPERM
        for protocol in (1, 58, 115, 132, 136, 255, 262):
            assert _ask(machine, "socket", family, 1 | extra, protocol) == EPROTONOSUPPORT
    assert _ask(machine, "socket", 16, 3 | extra, 0) == 0
    for protocol in (2, 4, 9, 10, 12, 15, 16):
        assert _ask(machine, "socket", 16, 3 | extra, protocol) == EPROTONOSUPPORT


@pytest.mark.parametrize("machine", _MACHINES)
@given(family=st.integers(0, 255).filter(lambda family: family not in (1, 2, 10, 16)), kind=st.integers(0, 15))
def test_no_other_family_of_sockets(machine: str, family: int, kind: int) -> None:
    assert _ask(machine, "socket", family, kind) == EAFNOSUPPORT
    assert _ask(machine, "socketpair", family, kind) == EAFNOSUPPORT


@pytest.mark.parametrize("machine", _MACHINES)
def test_socketpairs_are_local(machine: str) -> None:
    assert _ask(machine, "socketpair", 1, 1) == 0
    assert _ask(machine, "socketpair", 2, 1) == EAFNOSUPPORT


@pytest.mark.parametrize("machine", _MACHINES)
@pytest.mark.parametrize("high", [0, 1 << 32, 0xFFFFFFFF << 32])
def test_arguments_are_judged_by_the_half_that_the_kernel_reads(machine: str, high: int) -> None:
    for request in (0x5412, 0x541C, 0x541D, 0x5423, 0x800C6613, 0xC0506617, 0x40806685):
        assert _ask(machine, "ioctl", 0, request | high) == EPERM
    for request in (0x5401, 0x5413, 0x5421, 0x541B):  # TCGETS, TIOCGWINSZ, FIONBIO, FIONREAD
        assert _ask(machine, "ioctl", 0, request | high) == 0
    for command in (1024, 1026, 1040):
        assert _ask(machine, "fcntl", 0, command | high) == EPERM
    for command in (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1025, 1030, 1031, 1033):  # locks are for SQLite
        assert _ask(machine, "fcntl", 0, command | high) == 0
    assert _ask(machine, "prctl", 35 | high) == EPERM
    for option in (1, 3, 4, 15, 22, 36, 38):
        assert _ask(machine, "prctl", option | high) == 0


@pytest.mark.parametrize("machine", _MACHINES)
def test_personality_can_only_be_asked_for(machine: str) -> None:
    assert _ask(machine, "personality", 0xFFFFFFFF) == 0
    assert _ask(machine, "personality", 0) == 0
    for persona in (0x40000, 0x8, 0x400000, 0x20000):
        assert _ask(machine, "personality", persona) == EPERM


@pytest.mark.parametrize("machine", _MACHINES)
def test_a_program_may_filter_itself_further_but_not_listen(machine: str) -> None:
    assert _ask(machine, "seccomp", 1, 0) == 0
    assert _ask(machine, "seccomp", 1, 1) == 0
    assert _ask(machine, "seccomp", 1, 1 << 3) == EPERM
    assert _ask(machine, "seccomp", 1, 1 << 3 | 1 << 4) == EPERM


@pytest.mark.parametrize("machine", _MACHINES)
def test_huge_pages_are_not_given(machine: str) -> None:
    assert _ask(machine, "memfd_create", 0, 0x1) == 0
    assert _ask(machine, "memfd_create", 0, 0x4) == EPERM
    assert _ask(machine, "mmap", 0, 4096, 3, 0x22, -1) == 0
    assert _ask(machine, "mmap", 0, 4096, 3, 0x40022, -1) == ENOMEM
    assert _ask(machine, "shmget", 0, 4096, 0o1600) == 0
    assert _ask(machine, "shmget", 0, 4096, 0o5600) == ENOMEM


@pytest.mark.parametrize("machine", _MACHINES)
def test_a_call_costs_few_instructions_and_the_kernel_takes_the_program(machine: str) -> None:
    program = _PROGRAMS[machine]
    assert len(program) // 8 <= 4096
    for at in range(len(program) // 8):
        code, on_true, on_false, _ = struct.unpack_from("=HBBI", program, at * 8)
        if code not in (0x06, 0x20, 0x54):
            assert at + 1 + max(on_true, on_false) < len(program) // 8


@pytest.mark.parametrize("machine", _MACHINES)
def test_the_filter_in_two_parts_refuses_what_the_whole_refuses(machine: str) -> None:
    zygote, cell = build_filter(machine, "zygote"), build_filter(machine, "cell")
    samples = ((0,) * 6, (1,) * 6, (2**64 - 1,) * 6, (2, 3, 0, 0x40000), (0x10000011, 0x5412), (0x40000, 0x4, 0o4000))
    for number in (*range(_NEWEST + 2), _X32_BIT, 2**32 - 1):
        for arguments in samples:
            # The kernel takes the answer of the part put on last where both refuse.
            answer = _judge(cell, _ARCH[machine], number, arguments) or _judge(zygote, _ARCH[machine], number, arguments)
            assert answer == _judge(_PROGRAMS[machine], _ARCH[machine], number, arguments)
    for name in ("unshare", "setns", "mount"):  # a zygote makes cells
        assert _judge(zygote, _ARCH[machine], NUMBERS[name][COLUMN[machine]]) == 0


def test_an_unknown_machine_is_named() -> None:
    with pytest.raises(ValueError, match=r"machine: must be one of x86_64, aarch64, got 'riscv64'"):
        build_filter("riscv64")
    with pytest.raises(ValueError, match="program: must be made by build_filter"):
        install(bytes(64))
