"""The system calls that Python has no word for, by ctypes. Each raises OSError with the call's name."""

import ctypes
import os

CLONE_VM = 0x00000100
CLONE_PARENT = 0x00008000
CLONE_PARENT_SETTID = 0x00100000
CLONE_CHILD_CLEARTID = 0x00200000
CLONE_CHILD_SETTID = 0x01000000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
_PR_GET_TID_ADDRESS = 40

_MADV_HUGEPAGE = 14
_MAP_FIXED_NOREPLACE = 0x100000
_MREMAP_MAYMOVE, _MREMAP_FIXED = 1, 2
_FAILED = ctypes.c_void_p(-1).value
WALL = 0x40000000
_CLOSE_RANGE = 436
_GET_ROBUST_LIST = {"x86_64": 274, "aarch64": 100}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.mremap.restype = ctypes.c_void_p
_libc.mremap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p)
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.clone.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.sigprocmask.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_libc.getenv.restype = ctypes.c_void_p
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
# Looked up here, once, so that no cell has to.
_mount, _umount2, _pivot_root, _unshare, _setns = _libc.mount, _libc.umount2, _libc.pivot_root, _libc.unshare, _libc.setns
_prctl, _clone, _sigprocmask = _libc.prctl, _libc.clone, _libc.sigprocmask


def _check(result, name):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, name + ": " + os.strerror(number))
    return result


def mount(source, target, kind, flags, data=None):
    """mount(2); all paths are bytes or None."""
    _check(_mount(source, target, kind, flags, data), "mount " + os.fsdecode(target))


def umount(target, flags=MNT_DETACH):
    """umount2(2)."""
    _check(_umount2(target, flags), "umount2 " + os.fsdecode(target))


def pivot_root(new, old):
    """pivot_root(2)."""
    _check(_pivot_root(new, old), "pivot_root")


def unshare(flags):
    """unshare(2)."""
    _check(_unshare(flags), "unshare")


def forget_variable(name):
    """Remove a variable of the environment, and its text in /proc/self/environ."""
    value = _libc.getenv(name.encode())
    size = len(name) + 1 + len(os.environ[name])
    ctypes.memset(value - len(name) - 1, 0, size)
    del os.environ[name]


def signal_descriptor(number):
    """Block a signal, and return a descriptor that is readable when it is pending."""
    mask = (ctypes.c_ulong * 16)(1 << (number - 1))
    _check(_sigprocmask(0, mask, None), "sigprocmask")
    return _check(_libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC), "signalfd")


def setns(fd, flags):
    """setns(2)."""
    _check(_setns(fd, flags), "setns")


def prctl(option, first=0, second=0):
    """prctl(2); returns what the kernel returns."""
    return _check(_prctl(option, first, second, 0, 0), "prctl")


def syscall(number, *arguments):
    """A system call by number; ints and bytes or ctypes objects as arguments."""
    return _check(_syscall(ctypes.c_long(number), *arguments), f"syscall {number}")


def protect(address, size, protection):
    """mprotect(2)."""
    _check(_libc.mprotect(address, size, protection), "mprotect")


def map_aligned(size):
    """New memory aligned to its size, for which a huge page is wanted. Raises OSError."""
    area = map_memory(2 * size)
    address = -(-area // size) * size
    unmap(area, address - area)
    unmap(address + size, area + size - address)
    _libc.madvise(address, size, _MADV_HUGEPAGE)
    return address


def map_memory(size, address=None):
    """New memory, at an address where there is none yet, or anywhere. Raises OSError."""
    # PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
    found = _libc.mmap(address, size, 3, 0x22 | (_MAP_FIXED_NOREPLACE if address else 0), -1, 0)
    if found in (None, _FAILED) or (address and found != address):
        raise OSError(ctypes.get_errno(), "mmap")
    return found


def unmap(address, size):
    """munmap(2); of nothing it does nothing."""
    if size:
        _check(_libc.munmap(address, size), "munmap")


def move_mapping(address, target, size):
    """mremap(2): put memory in the place of what is at the target."""
    if _libc.mremap(address, size, size, _MREMAP_MAYMOVE | _MREMAP_FIXED, target) != target:
        raise OSError(ctypes.get_errno(), "mremap")


def tid_address():
    """Where libc keeps the number of the calling thread, which the kernel sets in a new process as libc's own fork would have it."""
    found = ctypes.c_uint64()
    _check(_prctl(_PR_GET_TID_ADDRESS, ctypes.addressof(found), 0, 0, 0), "prctl(PR_GET_TID_ADDRESS)")
    return found.value


def robust_list():
    """The calling thread's list of robust mutexes, which the kernel forgets in a new process: its address and size."""
    head, size = ctypes.c_uint64(), ctypes.c_size_t()
    syscall(_GET_ROBUST_LIST[os.uname().machine], 0, ctypes.byref(head), ctypes.byref(size))
    return head.value, size.value


def close_from(fd):
    """Close this descriptor and all above it."""
    try:
        syscall(_CLOSE_RANGE, ctypes.c_uint(fd), ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(0))
    except OSError:  # before Linux 5.9
        os.closerange(fd, os.sysconf("SC_OPEN_MAX"))


# The first process of a pid namespace must live as long as the namespace and take in orphans. It needs no memory of its
# own and no interpreter: these instructions set SIGCHLD to be ignored, so that the kernel reaps orphans, and then wait.
#   x86-64:  mov rsi,rdi; mov edi,17; xor edx,edx; mov r10d,8; mov eax,13; syscall; l: mov eax,34; syscall; jmp l
#   aarch64: mov x1,x0; mov x0,17; mov x2,0; mov x3,8; mov x8,134; svc 0;
#            l: mov x0,0; mov x1,0; mov x2,0; mov x3,0; mov x4,0; mov x8,73 (ppoll); svc 0; b l
_INIT_CODE = {
    "x86_64": bytes.fromhex("4889fe bf11000000 31d2 41ba08000000 b80d000000 0f05 b822000000 0f05 ebf7"),
    "aarch64": bytes.fromhex(
        "e10300aa 200280d2 020080d2 030180d2 c81080d2 010000d4 000080d2 010080d2 020080d2 030080d2 040080d2 280980d2 010000d4 f9ffff17"
    ),
}
_PAGE = 4096
_INIT_ACTION_AT = 1024
_init_page = 0


def _map_code(code):
    """Two new pages: the first holds the instructions and can't be written any more, the second is free. Returns their address."""
    page = map_memory(2 * _PAGE)
    ctypes.memmove(page, code, len(code))
    _check(_libc.mprotect(page, _PAGE, 5), "mprotect")  # PROT_READ | PROT_EXEC
    return page


def machine_code(code, result, *arguments):
    """A function of these instructions, with ctypes types of its result and arguments. Called, it keeps the interpreter's lock."""
    return ctypes.PYFUNCTYPE(result, *arguments)(_map_code(code))


def _prepare_init(machine):
    global _init_page
    action = bytes((ctypes.c_ulong * 4)(1, 0, 0, 0))  # the kernel's struct sigaction with SIG_IGN
    _init_page = _map_code(_INIT_CODE[machine].ljust(_INIT_ACTION_AT, b"\0") + action)


_ALL_SIGNALS = (ctypes.c_ulong * 16)(*[ctypes.c_ulong(-1).value] * 16)
_OLD_SIGNALS = (ctypes.c_ulong * 16)()


def spawn_init():
    """Start the first process of the pid namespace of the next children; returns its pid.

    It shares this process's memory, which makes it cheap (no page table is copied); it never writes to it. All signals are
    blocked in it, so that no handler of this process can run there. Its end sends no signal: only a wait with WALL sees it.
    """
    if not _init_page:
        _prepare_init(os.uname().machine)
    _sigprocmask(2, _ALL_SIGNALS, _OLD_SIGNALS)
    try:
        return _check(_clone(_init_page, _init_page + 2 * _PAGE - 64, CLONE_VM, _init_page + _INIT_ACTION_AT), "clone")
    finally:
        _sigprocmask(2, _OLD_SIGNALS, None)
