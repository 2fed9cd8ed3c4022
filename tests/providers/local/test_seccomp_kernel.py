"""The system call filter, by the kernel of this machine: what it refuses, and what goes on working."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import textwrap
from errno import EAFNOSUPPORT, ENOSYS, EPERM
from pathlib import Path

import pytest

from sandql.providers.local.cell.seccomp import build_filter
from tests.support.syscalls import COLUMN, LOOKED_AT, NUMBERS

pytestmark = [pytest.mark.unit, pytest.mark.unprivileged]

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
    column = COLUMN[_HERE]

    def number(name: str) -> int:
        return {**NUMBERS, **LOOKED_AT}[name][column]

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
