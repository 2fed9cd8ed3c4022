"""What hostile programs share: raw system calls, the shape of a host secret, and the verdict. It runs inside a cell."""

import ctypes
import errno
import os
import platform
import re
import sys

# Built at run time, so that a program that finds the prefix has not found itself.
PREFIX = "-".join(("sandql", "secret", ""))
SECRET = re.compile(PREFIX.encode() + rb"[a-z]+-[0-9a-f]{32}")

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

_NUMBERS = {  # name: (x86_64, aarch64); 425 and above are the same everywhere
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280), "capset": (126, 91), "chroot": (161, 51),
    "clock_adjtime": (305, 266), "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435), "delete_module": (176, 106),
    "fanotify_init": (300, 262), "finit_module": (313, 273), "fsconfig": (431, 431), "fsmount": (432, 432), "fsopen": (430, 430),
    "fspick": (433, 433), "init_module": (175, 105), "io_uring_setup": (425, 425), "ioperm": (173, None), "iopl": (172, None),
    "ioprio_set": (251, 30), "kcmp": (312, 272), "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219),
    "listmount": (458, 458), "lookup_dcookie": (212, 18), "mbind": (237, 235), "migrate_pages": (256, 238), "modify_ldt": (154, None),
    "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429), "move_pages": (279, 239), "mq_open": (240, 180),
    "msgget": (68, 186), "msgsnd": (69, 189), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "perf_event_open": (298, 241), "personality": (135, 92), "pidfd_getfd": (438, 438), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "pivot_root": (155, 41), "prlimit64": (302, 261), "process_madvise": (440, 440),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "reboot": (169, 142), "request_key": (249, 218), "rt_sigqueueinfo": (129, 138), "sched_setattr": (314, 274), "semget": (64, 190),
    "set_mempolicy": (238, 237), "setdomainname": (171, 162), "sethostname": (170, 161), "setns": (308, 268), "settimeofday": (164, 170),
    "shmat": (30, 196), "shmget": (29, 194), "statmount": (457, 457), "swapoff": (168, 225), "swapon": (167, 224), "syslog": (103, 116),
    "tgkill": (234, 131), "timer_create": (222, 107), "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}  # fmt: skip
REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOSYS)


def number(name):
    """The system call's number on this machine, or None where it has none."""
    return _NUMBERS[name][0 if platform.machine() == "x86_64" else 1]


def call(name, *args):
    """Make a raw system call. Returns its result, or a negative errno."""
    nr = number(name)
    return -errno.ENOSYS if nr is None else raw(nr, *args)


def raw(nr, *args):
    """Make the system call of that number. Returns its result, or a negative errno."""
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(nr), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    return -ctypes.get_errno() if result == -1 else result


def reached(name, *args):
    """Whether the kernel's own code answered: anything but a refusal, even an error about the arguments."""
    return -call(name, *args) not in REFUSALS


def pids():
    """Every process that can be seen, without this one."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid())


def read(path, size=1 << 20):
    """The bytes of a file, or none where it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(fd, size)
    except OSError:
        return b""
    finally:
        os.close(fd)


def opens(path, flags):
    """Whether a file can be opened so. Nothing is read or written."""
    try:
        os.close(os.open(path, flags | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def status():
    """/proc/self/status as a mapping."""
    with open("/proc/self/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def in_child(act):
    """Run `act` in a forked child. Returns its exit code, or a negative signal number; the child says "worked" by 0."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if act() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def verdict(*found):
    """Say what worked, and end. Empty findings mean that nothing did."""
    worked = [str(item) for item in found if item]
    print("ESCAPED: " + "; ".join(worked)[:2000] if worked else "CONTAINED")
    sys.exit(0)
