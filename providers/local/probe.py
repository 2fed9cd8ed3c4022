"""What this kernel lets this user do of what a cell needs, each tried by a process that ends with it.

Run as a file by `sandql.providers.local.doctor`; it knows the standard library only, and prints a JSON object: the name of a step
mapped to "" where it works, else to the reason why not.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import tempfile
from collections.abc import Callable

_NAMESPACES = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
_CLONE_NEWUSER = 0x10000000
_MS_FLAGS = 2 | 4 | 8  # nosuid, nodev, noexec
_MS_REC_PRIVATE = 16384 | 1 << 18
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, _PR_SET_NO_NEW_PRIVS = 22, 2, 38
_LANDLOCK_CREATE_RULESET = 444

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, name: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def _unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def _mount(source: bytes, target: str, kind: bytes, flags: int, data: bytes | None) -> None:
    _check(_libc.mount(source, os.fsencode(target), kind, ctypes.c_ulong(flags), data), f"mount {os.fsdecode(kind)}")


def _in_child(step: Callable[[], None]) -> str:
    """Do a step in a new process; answer why it failed, or an empty text."""
    reason_r, reason_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            step()
        except BaseException as error:
            os.write(reason_w, (str(error.strerror or error) if isinstance(error, OSError) else repr(error)).encode()[:1000])
        finally:
            os._exit(0)
    os.close(reason_w)
    reason = b""
    while part := os.read(reason_r, 1024):
        reason += part
    os.close(reason_r)
    os.waitpid(pid, 0)
    return reason.decode(errors="replace")


def _enter_user_namespace() -> None:
    """Become user 1000 of a new user namespace, mapped from outside as the engine does it."""
    outer = os.getpid()
    ready_r, ready_w = os.pipe()
    done_r, done_w = os.pipe()
    uid, gid = os.geteuid(), os.getegid()
    pid = os.fork()
    if pid == 0:
        reason = ""
        try:
            os.close(ready_w)
            if os.read(ready_r, 1):
                if uid:
                    _write(f"/proc/{outer}/setgroups", "deny")
                _write(f"/proc/{outer}/gid_map", f"1000 {gid} 1")
                _write(f"/proc/{outer}/uid_map", f"1000 {uid} 1")
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}".replace(f"/{outer}/", "/<pid>/")
        os.write(done_w, reason.encode() or b"\0")
        os._exit(0)
    os.close(done_w)
    os.close(ready_r)
    _unshare(_CLONE_NEWUSER)
    os.write(ready_w, b"1")
    answer = os.read(done_r, 1024)
    os.waitpid(pid, 0)
    if answer != b"\0":
        raise OSError(1, answer.decode() or "the id maps could not be written")
    os.setresgid(1000, 1000, 1000)
    os.setresuid(1000, 1000, 1000)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _in_new_pid_namespace(step: Callable[[], None]) -> None:
    _enter_user_namespace()
    _unshare(_NAMESPACES["mount"] | _NAMESPACES["pid"])
    _mount(b"none", "/", b"", _MS_REC_PRIVATE, None)
    reason = _in_child(step)
    if reason:
        raise OSError(1, reason)


def _namespace(name: str) -> None:
    _enter_user_namespace()
    _unshare(_NAMESPACES[name])


def _nested() -> None:
    _enter_user_namespace()
    _unshare(_CLONE_NEWUSER)


def _private_mounts() -> None:
    _unshare(_NAMESPACES["mount"])
    _mount(b"none", "/", b"", _MS_REC_PRIVATE, None)


def _leave_chroot() -> None:
    """Go to the root of this process's own mount namespace, as the engine does it as root: in a chroot the kernel makes no user namespace."""
    _unshare(_NAMESPACES["mount"])
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    _check(_libc.setns(namespace, _NAMESPACES["mount"]), "setns")
    os.close(namespace)
    _mount(b"none", "/", b"", _MS_REC_PRIVATE, None)


def _file_systems(folder: str) -> None:
    _mount(b"tmp", folder, b"tmpfs", _MS_FLAGS, b"size=64k,nr_inodes=16")
    _mount(b"devpts", folder, b"devpts", _MS_FLAGS & ~4, b"newinstance,ptmxmode=0666,mode=0620")


def _seccomp() -> None:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    allow = ctypes.create_string_buffer(b"\x06\x00\x00\x00\x00\x00\xff\x7f", 8)  # return SECCOMP_RET_ALLOW
    program = Program(1, ctypes.addressof(allow))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))), "prctl")
    _check(_libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(program)), "seccomp")


def _landlock_abi() -> int:
    return max(0, _libc.syscall(ctypes.c_long(_LANDLOCK_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint(1)))


def main() -> None:
    """Try every step and print the answers."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # then the steps fail too, each with its reason
            _leave_chroot()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        steps: dict[str, Callable[[], None]] = {"user": _enter_user_namespace, "nested": _nested, "seccomp": _seccomp}
        steps |= {name: (lambda name=name: _namespace(name)) for name in _NAMESPACES}
        steps["proc"] = lambda: _in_new_pid_namespace(lambda: _mount(b"proc", "/proc", b"proc", _MS_FLAGS, b"hidepid=2"))
        steps["mounts"] = lambda: _in_new_pid_namespace(lambda: _file_systems(folder))
        if os.geteuid() == 0:
            steps["root mounts"] = lambda: _private_mounts()
        answers: dict[str, str | int] = {name: _in_child(step) for name, step in steps.items()}
    answers["landlock"] = _landlock_abi()
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
