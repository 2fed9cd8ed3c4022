"""System call numbers, kept apart from those of the product so that a slip in one shows."""

from __future__ import annotations

COLUMN = {"x86_64": 0, "aarch64": 1}

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
NUMBERS = {name: (int(x86), int(arm)) for name, x86, arm in (row.split() for row in _DENIED.split(","))}
ONLY_X86_64 = {"iopl": 172, "ioperm": 173, "modify_ldt": 154, "uselib": 134, "create_module": 174, "query_module": 178, "_sysctl": 156}
LOOKED_AT = {
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
