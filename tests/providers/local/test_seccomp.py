"""The system call filter: each number by an interpreter of its program, and what matters most by the kernel itself."""

from __future__ import annotations

import platform
import shutil
import struct
import subprocess
import sys
import textwrap
from errno import EAFNOSUPPORT, ENOMEM, ENOSYS, EPERM, EPROTONOSUPPORT
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandql.providers.local.cell.seccomp import build_filter, install, prepare

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]

_X86_64, _AARCH64, _I386, _ARM = 0xC000003E, 0xC00000B7, 0x40000003, 0x40000028
_ARCH = {"x86_64": _X86_64, "aarch64": _AARCH64}
_PROGRAMS = {machine: build_filter(machine) for machine in _ARCH}
_NEWEST = 469
_X32_BIT = 0x40000000

# name, number on x86_64, number on aarch64: from the headers of Linux 6.1, and from 451 on as all architectures have them
_DENIED = """
    acct 163 89, add_key 248 217, adjtimex 159 171, bpf 321 280, cachestat 451 451, chroot 161 51, clock_adjtime 305 266,
    clock_settime 227 112, delete_module 176 106, fanotify_init 300 262, fanotify_mark 301 263, finit_module 313 273, fsconfig 431 431,
    fsmount 432 432, fsopen 430 430, fspick 433 433, init_module 175 105, io_setup 206 0, io_uring_enter 426 426, io_uring_register 427 427,
    io_uring_setup 425 425, kcmp 312 272, kexec_file_load 320 294, kexec_load 246 104, keyctl 250 219, listmount 458 458,
    lookup_dcookie 212 18, mbind 237 235, memfd_secret 447 447, migrate_pages 256 238, mount 165 40, mount_setattr 442 442,
    move_mount 429 429, move_pages 279 239, name_to_handle_at 303 264, nfsservctl 180 42, open_by_handle_at 304 265, open_tree 428 428,
    open_tree_attr 467 467, perf_event_open 298 241, pidfd_getfd 438 438, pivot_root 155 41, process_madvise 440 440,
    process_mrelease 448 448, process_vm_readv 310 270, process_vm_writev 311 271, ptrace 101 117, quotactl 179 60, quotactl_fd 443 443,
    reboot 169 142, request_key 249 218, set_mempolicy 238 237, set_mempolicy_home_node 450 450, setdomainname 171 162, sethostname 170 161,
    setns 308 268, settimeofday 164 170, statmount 457 457, swapoff 168 225, swapon 167 224, syslog 103 116, umount2 166 39, unshare 272 97,
    userfaultfd 323 282, vhangup 153 58
"""
_NUMBERS = {name: (int(x86), int(arm)) for name, x86, arm in (row.split() for row in _DENIED.split(","))}
_ONLY_X86_64 = {"iopl": 172, "ioperm": 173, "modify_ldt": 154, "uselib": 134, "create_module": 174, "query_module": 178, "_sysctl": 156}
_LOOKED_AT = {
    "clone": (56, 220),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "ioctl": (16, 29),
    "fcntl": (72, 25),
    "prctl": (157, 167),
    "personality": (135, 92),
    "seccomp": (317, 277),
    "memfd_create": (319, 279),
    "mmap": (9, 222),
    "shmget": (29, 194),
}
_CLONE3 = (435, 435)
_COLUMN = {"x86_64": 0, "aarch64": 1}
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
    return _judge(_PROGRAMS[machine], _ARCH[machine], _LOOKED_AT[name][_COLUMN[machine]], arguments)


@pytest.mark.parametrize("machine", _MACHINES)
@pytest.mark.parametrize("name", sorted(_NUMBERS))
def test_each_listed_call_is_refused_whatever_its_arguments(machine: str, name: str) -> None:
    for arguments in ((0,) * 6, (2**64 - 1,) * 6):
        assert _judge(_PROGRAMS[machine], _ARCH[machine], _NUMBERS[name][_COLUMN[machine]], arguments) == EPERM


@pytest.mark.parametrize("name", sorted(_ONLY_X86_64))
def test_calls_of_x86_64_alone_are_refused_there(name: str) -> None:
    assert _judge(_PROGRAMS["x86_64"], _X86_64, _ONLY_X86_64[name]) == EPERM


@pytest.mark.parametrize("machine", _MACHINES)
def test_every_other_known_call_is_allowed(machine: str) -> None:
    column = _COLUMN[machine]
    judged = {numbers[column] for numbers in (*_NUMBERS.values(), *_LOOKED_AT.values(), _CLONE3)}
    judged |= set(_ONLY_X86_64.values()) if machine == "x86_64" else set()
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


def test_an_unknown_machine_is_named() -> None:
    with pytest.raises(ValueError, match=r"machine: must be one of x86_64, aarch64, got 'riscv64'"):
        build_filter("riscv64")
    with pytest.raises(ValueError, match="program: must be made by build_filter"):
        install(bytes(64))


def test_preparing_twice_gives_the_same_memory() -> None:
    assert prepare(_PROGRAMS["x86_64"]) == prepare(bytes(bytearray(_PROGRAMS["x86_64"])))


# --- by the kernel -----------------------------------------------------------

_FILTER = Path(sys.modules[build_filter.__module__].__file__ or "")
_HERE = platform.machine()
_PRELUDE = f"""
import ctypes, os, sys
sys.path.insert(0, {str(_FILTER.parent)!r})
import seccomp
seccomp.install(seccomp.build_filter({_HERE!r}))
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_ulong(a & 2**64 - 1) if isinstance(a, int) else a for a in arguments])
    return 0 if result >= 0 else ctypes.get_errno()
"""


def _child(code: str) -> str:
    """Run Python in a process that has put the filter on itself first; returns what it printed."""
    done = subprocess.run([sys.executable, "-I", "-c", _PRELUDE + textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _calls(*calls: str) -> list[int]:
    return [int(line) for line in _child("\n".join(f"print(call({call}))" for call in calls)).split()]


def test_the_kernel_refuses_what_is_listed() -> None:
    column = _COLUMN[_HERE]

    def number(name: str) -> int:
        return {**_NUMBERS, **_LOOKED_AT}[name][column]

    answers = _calls(
        f"{number('unshare')}, 0x10000000",
        f"{number('unshare')}, 0",
        f"{number('setns')}, 0, 0",
        f"{number('mount')}, b'none', b'/tmp', b'tmpfs', 0, None",
        f"{number('fsopen')}, b'tmpfs', 0",
        f"{number('open_tree')}, -100, b'/', 1",
        f"{number('ptrace')}, 0, 0, 0, 0",
        f"{number('process_vm_readv')}, os.getpid(), 0, 0, 0, 0, 0",
        f"{number('keyctl')}, 0, -3, 1",
        f"{number('add_key')}, b'user', b'k', b'v', 1, -3",
        f"{number('request_key')}, b'user', b'k', 0, -3",
        f"{number('io_uring_setup')}, 8, ctypes.create_string_buffer(512)",
        f"{number('bpf')}, 0, ctypes.create_string_buffer(128), 128",
        f"{number('userfaultfd')}, 1",
        f"{number('perf_event_open')}, ctypes.create_string_buffer(128), 0, -1, -1, 0",
        f"{number('io_setup')}, 1, ctypes.create_string_buffer(8)",
        f"{number('clone')}, 0x10000011, 0, 0, 0, 0",
        f"{number('seccomp')}, 1, 8, 0",
        f"{number('personality')}, 0x40000",
        f"{number('ioctl')}, 0, 0x100005412, b'x'",
    )
    assert answers == [EPERM] * len(answers)


def test_the_kernel_answers_as_if_it_did_not_know_clone3_or_the_future() -> None:
    assert _calls("435, 0, 0", "470, 0", "511, 0", "4096, 0") == [ENOSYS] * 4


def test_no_socket_reaches_the_hypervisor_or_the_kernel() -> None:
    families = ["AF_VSOCK", "AF_ALG", "AF_PACKET", "AF_BLUETOOTH", "AF_TIPC", "AF_CAN"]
    code = """
        import socket
        for family in %r:
            number = getattr(socket, family, None)
            try:
                socket.socket(number if number is not None else 40, socket.SOCK_DGRAM, 0).close()
            except OSError as error:
                print(error.errno)
        for family in (socket.AF_UNIX, socket.AF_INET):
            socket.socket(family, socket.SOCK_STREAM).close()
        socket.if_nameindex()
    """
    assert _child(code % families).split() == [str(EAFNOSUPPORT)] * len(families)


_INT_0X80 = bytes.fromhex("53 b814000000 cd80 5b c3")  # push rbx; mov eax, 20 (getpid of i386); int 0x80; pop rbx; ret
_X32_GETPID = bytes.fromhex("b827000040 0f05 c3")  # mov eax, 0x40000027; syscall; ret


_ENTRIES = {"int 0x80": _INT_0X80, "x32": _X32_GETPID} if _HERE == "x86_64" else {}  # a 64-bit program of aarch64 has one entry only


@pytest.mark.parametrize("code", list(_ENTRIES.values()), ids=list(_ENTRIES))
def test_the_other_entries_of_an_x86_64_kernel_are_shut(code: bytes) -> None:
    run = f"""
        import mmap
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write({code!r})
        result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        print(result, flush=True)
        os._exit(0)
    """
    done = subprocess.run([sys.executable, "-I", "-c", _PRELUDE + textwrap.dedent(run)], capture_output=True, text=True, timeout=60)
    # A kernel built without 32-bit programs ends the process instead.
    assert done.stdout.strip() == str(-ENOSYS) or done.returncode == -11


def test_python_works_under_the_filter() -> None:
    code = """
        import concurrent.futures, multiprocessing, sqlite3, subprocess, threading, tempfile, asyncio
        threads = [threading.Thread(target=os.getpid) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print(subprocess.run(["/bin/sh", "-c", "echo sub"], capture_output=True, text=True).stdout.strip())
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(sum(pool.map(abs, range(-3, 0))))
        with tempfile.TemporaryDirectory() as folder, sqlite3.connect(folder + "/a.db") as base:
            base.execute("create table t (x)")
            base.execute("insert into t values (7)")
            base.commit()
            print(base.execute("select x from t").fetchone()[0])
        async def serve():
            server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            print(await reader.read())
            writer.close()
            server.close()
            process = await asyncio.create_subprocess_exec("/bin/true")
            print(await process.wait())
        asyncio.run(serve())
    """
    assert _child(code).split() == ["sub", "6", "7", "b''", "0"]


_NODE = """
const {Worker} = require('worker_threads');
require('child_process').execFileSync('/bin/true');
new Worker('require("worker_threads").parentPort.postMessage("ok")', {eval: true}).on('message', console.log);
"""
_OTHERS = {
    "bash": ["--norc", "-c", "echo $(echo ok) | cat"],
    "node": ["-e", _NODE],
    "perl": ["-e", "my $pid = fork; exit 0 unless $pid; waitpid $pid, 0; print 'ok'"],
}


@pytest.mark.parametrize("name", sorted(name for name in _OTHERS if shutil.which(name)))
def test_other_runtimes_work_under_the_filter(name: str) -> None:
    path = shutil.which(name)
    assert _child(f"os.execve({path!r}, {[name, *_OTHERS[name]]!r}, {{'PATH': '/usr/bin:/bin'}})") == "ok"


def test_the_filter_gives_no_new_privileges_and_stays_on_children() -> None:
    code = """
        import subprocess
        status = subprocess.run(["/bin/cat", "/proc/self/status"], capture_output=True, text=True).stdout
        print([line.split()[1] for line in status.splitlines() if line.startswith(("NoNewPrivs", "Seccomp:"))])
        seccomp.install(seccomp.build_filter(os.uname().machine))
    """
    assert _child(code) == "['1', '2']"
