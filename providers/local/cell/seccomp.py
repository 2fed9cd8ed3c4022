"""The system call filter of a cell: everything is allowed but what is listed here.

A deny list that answers with an error, not an allow list that kills: runtimes probe for calls and go on without them, so numpy, node,
the JVM, Go and threads work, and a program that tries something forbidden sees the error that a poorer kernel would give.

The program is classic BPF, run by the kernel at each call:

    architecture other than ours                                -> ENOSYS   (32-bit `int 0x80`: other numbers, so no list would fit)
    number above the newest one known here                      -> ENOSYS   (x32, whose numbers have bit 30; calls newer than this list)
    binary search over the sorted numbers, about seven compares -> allow, an error, or a look at the arguments

Runs inside the cell's interpreter, where only the standard library is there and start-up counts: it imports nothing but ctypes and struct.
"""

import ctypes
import struct

_EPERM, _ENOMEM, _ENOSYS, _EPROTONOSUPPORT, _EAFNOSUPPORT = 1, 12, 38, 93, 97

# Numbers above this are calls that this list has not judged yet (467 open_tree_attr came with Linux 6.15, 469 file_setattr with 6.17).
_NEWEST = 469

_MACHINES = {"x86_64": 0, "aarch64": 1}  # the column of the tables below
_AUDIT_ARCH = (0xC000003E, 0xC00000B7)  # <linux/audit.h>: what the kernel says of a call's architecture
_SECCOMP_CALL = (317, 277)

# name -> its number on x86_64 and on aarch64, None where there is none
_DENIED: dict[str, tuple[int | None, int]] = {
    # a new view of the system: namespaces and mounts
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "nfsservctl": (180, 42),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    # other processes: their memory, descriptors and state
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    # keyrings are not part of any namespace: a later run under the same uid would find the keys
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    # wide kernel surfaces that no ordinary program needs
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "lookup_dcookie": (212, 18),
    "vhangup": (153, 58),
    # what is one for the whole host: memory policy, uncounted memory, asynchronous I/O slots (fs.aio-max-nr), the page cache's state
    "mbind": (237, 235),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "memfd_secret": (447, 447),
    "io_setup": (206, 0),
    "cachestat": (451, 451),
    # the machine itself
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "syslog": (103, 116),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
}
_DENIED_X86_64 = {"iopl": 172, "ioperm": 173, "modify_ldt": 154, "uselib": 134, "create_module": 174, "query_module": 178, "_sysctl": 156}

# A C library that gets ENOSYS for clone3 uses clone, whose flags can be seen here; those of clone3 lie in memory.
_MISSING: dict[str, tuple[int, int]] = {"clone3": (435, 435)}

_LOOKED_AT: dict[str, tuple[int, int]] = {
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
    "setrlimit": (160, 164),
    "prlimit64": (302, 261),
}

# What a zygote does to make a cell. It keeps these and gives up all else once; a cell gives up these as its last step, which is
# several times cheaper than a whole filter for each cell.
_MAKES_CELLS = ("unshare", "setns", "mount", "sethostname", "clone")

# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (clone has no NEWTIME), and CLONE_PARENT: the zygote would have a child of it.
_CLONE_REFUSED = 0x7E028000
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCK_TYPE_MASK, _SOCK_STREAM, _SOCK_DGRAM = 0xF, 1, 2
_IP_PROTOCOLS = (0, 6, 17)  # the type's own, TCP, UDP: not ICMP, SCTP, L2TP, MPTCP
_NETLINK_ROUTE = 0
_IOCTLS = (
    0x5412,  # TIOCSTI: types into somebody's terminal
    0x541C,  # TIOCLINUX: pastes into it
    0x541D,  # TIOCCONS: takes the console's output
    0x5423,  # TIOCSETD: line disciplines, a wide kernel surface
    0x800C6613,  # FS_IOC_SET_ENCRYPTION_POLICY: a workspace that the server cannot read or clean up
    0xC0506617,  # FS_IOC_ADD_ENCRYPTION_KEY: kept by the file system, beyond the run
    0x40806685,  # FS_IOC_ENABLE_VERITY: a file that nobody can change any more
)
_FCNTLS = (1024, 1026, 1040)  # F_SETLEASE, F_NOTIFY, F_SETDELEG: each can hold back or watch the server's own opens
_PR_SET_MM = 35
_PERSONALITIES = (0, 0xFFFFFFFF)  # Linux, and the question which one it is
_SECCOMP_NEW_LISTENER = 1 << 3
_MFD_HUGETLB, _MAP_HUGETLB, _SHM_HUGETLB = 0x4, 0x40000, 0x800  # huge pages are one pool for the host, and no group counts them

_RLIMIT_CORE = 4  # stays as it is set for all cells: 1, at which the kernel starts no handler of the host's, while at 0 it may

_LOAD, _AND, _EQUAL, _NOT_BELOW, _ABOVE, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x25, 0x45, 0x06  # <linux/bpf_common.h>
_RET_ALLOW, _RET_ERRNO = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARCH_AT, _ARGS_AT = 0, 4, 16  # struct seccomp_data

_Block = list[tuple[int, int, int, int]]  # (code, jump if true, jump if false, value) of each instruction; each way through it returns

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1

_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_syscall = _libc.syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p)
_syscall.restype = ctypes.c_long


def _answer(errno: int) -> _Block:
    return [(_RETURN, 0, 0, _RET_ERRNO | errno)]


_ALLOW: _Block = [(_RETURN, 0, 0, _RET_ALLOW)]


def _argument(index: int) -> _Block:
    # Both machines are little-endian, and each argument looked at is an int to the kernel or has its meaning in the low 32 bits.
    return [(_LOAD, 0, 0, _ARGS_AT + 8 * index)]


def _one_of(values: tuple[int, ...], then: _Block, otherwise: _Block) -> _Block:
    block = otherwise
    for value in reversed(values):
        block = [(_EQUAL, 0, len(then), value), *then, *block]
    return block


def _any_bit(mask: int, then: _Block, otherwise: _Block) -> _Block:
    return [(_ANY_BIT, 0, len(then), mask), *then, *otherwise]


def _is_null(index: int, then: _Block, otherwise: _Block) -> _Block:
    """Whether a pointer is NULL: both halves of it are looked at."""
    high: _Block = [(_LOAD, 0, 0, _ARGS_AT + 8 * index + 4), *_one_of((0,), then, otherwise)]
    return _argument(index) + _one_of((0,), high, otherwise)


def _socket() -> _Block:
    protocol = _argument(2) + _one_of(_IP_PROTOCOLS, _ALLOW, _answer(_EPROTONOSUPPORT))
    internet = [*_argument(1), (_AND, 0, 0, _SOCK_TYPE_MASK), *_one_of((_SOCK_STREAM, _SOCK_DGRAM), protocol, _answer(_EPERM))]
    route = _argument(2) + _one_of((_NETLINK_ROUTE,), _ALLOW, _answer(_EPROTONOSUPPORT))
    others = _one_of((_AF_NETLINK,), route, _answer(_EAFNOSUPPORT))
    return _argument(0) + _one_of((_AF_UNIX,), _ALLOW, _one_of((_AF_INET, _AF_INET6), internet, others))


def _look(name: str) -> _Block:
    """The block that judges a call of `_LOOKED_AT` by its arguments."""
    if name == "clone":
        return _argument(0) + _any_bit(_CLONE_REFUSED, _answer(_EPERM), _ALLOW)
    if name == "socket":
        return _socket()
    if name == "socketpair":
        return _argument(0) + _one_of((_AF_UNIX,), _ALLOW, _answer(_EAFNOSUPPORT))
    if name == "ioctl":
        return _argument(1) + _one_of(_IOCTLS, _answer(_EPERM), _ALLOW)
    if name == "fcntl":
        return _argument(1) + _one_of(_FCNTLS, _answer(_EPERM), _ALLOW)
    if name == "prctl":
        return _argument(0) + _one_of((_PR_SET_MM,), _answer(_EPERM), _ALLOW)
    if name == "personality":
        return _argument(0) + _one_of(_PERSONALITIES, _ALLOW, _answer(_EPERM))
    if name == "seccomp":
        return _argument(1) + _any_bit(_SECCOMP_NEW_LISTENER, _answer(_EPERM), _ALLOW)
    if name == "memfd_create":
        return _argument(1) + _any_bit(_MFD_HUGETLB, _answer(_EPERM), _ALLOW)
    if name == "mmap":
        return _argument(3) + _any_bit(_MAP_HUGETLB, _answer(_ENOMEM), _ALLOW)
    if name == "setrlimit":
        return _argument(0) + _one_of((_RLIMIT_CORE,), _answer(0), _ALLOW)
    if name == "prlimit64":
        return _argument(1) + _one_of((_RLIMIT_CORE,), _is_null(2, _ALLOW, _answer(0)), _ALLOW)
    return _argument(2) + _any_bit(_SHM_HUGETLB, _answer(_ENOMEM), _ALLOW)  # shmget


def _blocks(column: int) -> dict[str, tuple[int, _Block]]:
    """What to do with each call that is not simply allowed: its number, and the block that judges it."""
    blocks = {name: (numbers[column], _answer(_EPERM)) for name, numbers in _DENIED.items()}
    if column == _MACHINES["x86_64"]:
        blocks |= {name: (number, _answer(_EPERM)) for name, number in _DENIED_X86_64.items()}
    blocks |= {name: (numbers[column], _answer(_ENOSYS)) for name, numbers in _MISSING.items()}
    blocks |= {name: (numbers[column], _look(name)) for name, numbers in _LOOKED_AT.items()}
    return {name: (number, block) for name, (number, block) in blocks.items() if number is not None}


def _ranges(blocks: dict[int, _Block]) -> list[tuple[int, _Block]]:
    """Each first number from which a block holds, up to the next; neighbours that do the same are one."""
    ranges: list[tuple[int, _Block]] = [(0, _ALLOW)]
    for number in sorted(blocks):
        if ranges[-1][0] == number:
            ranges.pop()
        if not ranges or ranges[-1][1] != blocks[number]:
            ranges.append((number, blocks[number]))
        if number + 1 not in blocks:
            ranges.append((number + 1, _ALLOW))
    return ranges


def _search(ranges: list[tuple[int, _Block]]) -> _Block:
    """A binary search for the range that holds the number in the accumulator."""
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    below, from_here = _search(ranges[:middle]), _search(ranges[middle:])
    if len(below) > 255:  # a jump has eight bits
        raise ValueError(f"ranges: a half of the search has {len(below)} instructions, at most 255; make the lists above shorter")
    return [(_NOT_BELOW, len(below), 0, ranges[middle][0]), *below, *from_here]


def build_filter(machine: str, part: str = "whole") -> bytes:
    """Make the filter for a machine, as `uname -m` names it: an array of `struct sock_filter`.

    `part` is "whole"; or "zygote" for all of it but what making cells takes, and "cell" for the rest, to be put on top.

    Raises:
        ValueError: there is no list for this machine.
    """
    column = _MACHINES.get(machine)
    if column is None:
        raise ValueError(f"machine: must be one of {', '.join(_MACHINES)}, got {machine!r}; there is no system call list for it")
    missing = _answer(_ENOSYS)
    chosen = {number: block for name, (number, block) in _blocks(column).items() if part == "whole" or (name in _MAKES_CELLS) == (part == "cell")}
    program: _Block = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, len(missing), 0, _AUDIT_ARCH[column]),
        *missing,
        (_LOAD, 0, 0, _NUMBER_AT),
        (_ABOVE, 0, len(missing), _NEWEST),
        *missing,
        *_search(_ranges(chosen)),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def install(program: bytes) -> None:
    """Give up new privileges and put the filter on the calling thread and all that it starts, for good.

    Call it while the process has one thread: the others would stay without it. `program` is what `build_filter` made.

    Raises:
        OSError: the kernel refused it.
        ValueError: the program was not made by `build_filter`.
    """
    arch = struct.unpack_from("=HBBI", program, 8)[3]
    if arch not in _AUDIT_ARCH:
        raise ValueError(f"program: must be made by build_filter, got one for architecture {arch:#x}")
    instructions = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(filter_header(program, ctypes.addressof(instructions)))
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS) was refused")
    if _syscall(_SECCOMP_CALL[_AUDIT_ARCH.index(arch)], _SECCOMP_SET_MODE_FILTER, 0, ctypes.addressof(header)):
        raise OSError(ctypes.get_errno(), "seccomp(SECCOMP_SET_MODE_FILTER) was refused")


def filter_header(program: bytes, address: int) -> bytes:
    """What seccomp(2) is given, a `struct sock_fprog`: for a program whose instructions lie at that address."""
    return struct.pack("@HP", len(program) // 8, address)
