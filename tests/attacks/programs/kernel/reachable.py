# tries: call each kernel door that a program in a cell has no use for, with nonsense.
# judged by: one answers with anything but a refusal.
import probe

found = []
for name, args in {
    "statmount": (0, 0, 0, 0), "listmount": (0, 0, 0, 0), "quotactl_fd": (-1, 0, 0, 0), "fsopen": (b"no-such-fs", 0), "open_tree": (-1, b"", 0),
    "mount_setattr": (-1, b"", 0, 0, 0), "pidfd_getfd": (-1, 0, 0), "setns": (-1, 0), "move_mount": (-1, b"", -1, b"", 0), "process_vm_readv": (1, 0, 0, 0, 0, 0),
    "mount": (b"no", b"/nowhere", b"no", 0, 0), "umount2": (b"/nowhere", 0), "chroot": (b"/nowhere",), "fanotify_init": (0xFFFF, 0), "kcmp": (0, 0, 99, 0, 0),
}.items():  # fmt: skip
    if probe.reached(name, *args):
        found.append(name)
probe.verdict(*found)
