"""How system calls are laid out for a script: as numbers, in the same way by those who write them and by what makes them.

One step is eight words of eight bytes: the call's number, its six arguments, and a mark. A step that jumps has its target in the
place of the sixth argument.
"""

from __future__ import annotations

MACHINES = ("x86_64", "aarch64")
NUMBERS = {
    "capset": (126, 91),
    "chdir": (80, 49),
    "clone": (56, 220),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup3": (292, 24),
    "execve": (59, 221),
    "fcntl": (72, 25),
    "landlock_restrict_self": (446, 446),
    "mount": (165, 40),
    "munmap": (11, 215),
    "newfstatat": (262, 79),
    "openat": (257, 56),
    "pipe2": (293, 59),
    "prlimit64": (302, 261),
    "prctl": (157, 167),
    "read": (0, 63),
    "recvmsg": (47, 212),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "seccomp": (317, 277),
    "sendmsg": (46, 211),
    "set_robust_list": (273, 99),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setresgid": (119, 149),
    "setresuid": (117, 147),
    "setsid": (112, 157),
    "unshare": (272, 97),
    "write": (1, 64),
}
AT_FDCWD = -100

WORD = 8
STEP_WORDS = 8
STEP_BYTES = STEP_WORDS * WORD
TARGET, MARK = 6, 7
PLAIN, USES_OPENED, OPENS, JUMPS = 0, 1, 2, 3  # "opened" is the descriptor that the last step marked OPENS gave

# Where a cell that waits for a program other than Python has the steps that start it: the same place in each, far from all that
# the kernel and a C library choose by themselves, so that the server can write addresses into them.
ROOM_AT = 0x20_0000_0000
ROOM_BYTES = 4096  # as much as a pipe takes at once, come what may


def step(name: str, *arguments: int, machine: str, mark: int = PLAIN) -> list[int]:
    """The words of one call."""
    words = [NUMBERS[name][MACHINES.index(machine)], *arguments]
    return [*words, *[0] * (MARK - len(words)), mark]
