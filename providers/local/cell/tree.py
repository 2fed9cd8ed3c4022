"""The read-only file tree that all cells of a zygote see, and what each cell mounts of its own."""

import ctypes
import os

from cell.linux import (
    CLONE_NEWIPC,
    CLONE_NEWNS,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    mount,
    pivot_root,
    setns,
    umount,
    unshare,
)
from cell.script import Script

WORKSPACE = "/workspace"
HOMES = "/.homes"
_EMPTY = b"/.empty"
_OPTIONS_BYTES, _HOME_BYTES = 160, 256

_MS_NOATIME, _MS_NODIRATIME, _MS_RELATIME = 1024, 2048, 1 << 21
_ST_RELATIME = 4096  # of statvfs, whose other flags are the mount's

_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_LINKS = {"dev/fd": "/proc/self/fd", "dev/stdin": "fd/0", "dev/stdout": "fd/1", "dev/stderr": "fd/2", "dev/ptmx": "pts/ptmx"}
_TOP_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# What libc and the runtimes read. Copied, not bound, so that a cell has fewer mounts to copy and nothing later written shows.
_ETC = "alternatives ld.so.cache ld.so.conf ld.so.conf.d localtime nsswitch.conf protocols services mime.types perl php R".split()
_ETC_STARTS = ("java-", "python3")
_ETC_TEXTS = {
    "passwd": (
        "root:x:0:0:root:/root:/usr/sbin/nologin\nsandbox:x:1000:1000:sandbox:/workspace:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n"
    ),
    "group": "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "hostname": "sandbox\n",
    "host.conf": "multi on\n",
}
_MAX_ETC_FILE = 1 << 20


def build_tree(root, mounts, extra_files, homes, site):
    """Mount the tree at `root` and make it this process's root directory.

    `mounts` are host directories shown read-only at their own paths; `extra_files` maps paths to texts; `homes` is the host
    directory of kept workspaces, or None where no cell may see one; `site` a host directory and the path at which it is shown, or nothing.
    """
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    _make_private(namespace)
    mount(b"sandql", os.fsencode(root), b"tmpfs", MS_NOSUID, b"size=16m,nr_inodes=8192,mode=0755")
    for name in ("proc", "dev", "dev/shm", "dev/pts", "tmp", "etc", "workspace", ".empty", ".old"):
        os.mkdir(os.path.join(root, name), 0o755)
    for name in _TOP_LINKS:
        if os.path.islink("/" + name):
            os.symlink(os.readlink("/" + name), os.path.join(root, name))
    for path in mounts:
        _bind(path, root + path)
    if site:
        _bind(site[0], root + site[1])
    for name, target in _LINKS.items():
        os.symlink(target, os.path.join(root, name))
    _add_devices(root)
    _copy_etc(root)
    for path, text in extra_files.items():
        _write(root + path, text.encode())
    if homes is not None:
        _bind(homes, root + HOMES, read_only=False)
    mount(b"/proc", os.fsencode(root + "/proc"), None, MS_BIND | MS_REC)
    tree = os.open(root, os.O_PATH | os.O_DIRECTORY)
    setns(namespace, CLONE_NEWNS)  # out of a chroot, if this is one: only the namespace's own root can be exchanged
    os.close(namespace)
    os.fchdir(tree)
    os.close(tree)
    pivot_root(b".", b".old")
    os.chdir("/")
    umount(b"/.old")
    os.rmdir("/.old")


def _make_private(namespace):
    """Let no mount of this namespace show in the host's. In a chroot "/" is no mount point, so it is done from outside."""
    here = os.open("/", os.O_PATH | os.O_DIRECTORY)
    setns(namespace, CLONE_NEWNS)
    mount(None, b"/", None, MS_REC | MS_PRIVATE)
    os.fchdir(here)
    os.chroot(".")
    os.close(here)


def seal_tree():
    """Show the processes of this pid namespace only, and make the root read-only."""
    mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount(None, b"/", None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID)


class CellMounts:
    """The mounts of a cell and its IPC namespace, made by the zygote, which holds them until it has said how the cell ended.

    The kernel takes both down when the last who has them lets go, and that takes longer than most programs. `private` are the paths, as
    bytes, of which a cell gets its own view; `sizes` the bytes and inodes of each of /workspace, /tmp and /dev/shm (memory limits bound
    their sum); `homes` says whether its workspace is a kept one, or empty and gone with the cell.
    """

    def __init__(self, private, sizes, homes):
        self._sizes = sizes
        script = self._script = Script()
        self._options = script.put(b"", _OPTIONS_BYTES)
        self._home = script.put(b"", _HOME_BYTES) if homes else None
        flags = MS_NOSUID | MS_NODEV
        script.add("unshare", CLONE_NEWNS | CLONE_NEWIPC)
        for path in private:
            # A file of the host is one file for all cells, and so are its locks: each cell gets an overlay, whose files are its own.
            script.add("mount", b"overlay", path, b"overlay", flags | MS_RDONLY, b"lowerdir=%s:%s" % (path, _EMPTY))
        if self._home is None:
            script.add("mount", b"workspace", b"/workspace", b"tmpfs", flags, self._options)
        else:
            script.add("mount", self._home, b"/workspace", None, MS_BIND, None)
            script.add("mount", None, b"/workspace", None, MS_REMOUNT | MS_BIND | flags, None)
            script.add("mount", b"none", HOMES.encode(), b"tmpfs", flags | MS_RDONLY, b"size=4k,mode=0")  # the other homes are covered
        script.add("mount", b"tmp", b"/tmp", b"tmpfs", flags, self._options)
        script.add("mount", b"shm", b"/dev/shm", b"tmpfs", flags, self._options)
        script.add("mount", b"devpts", b"/dev/pts", b"devpts", MS_NOSUID | MS_NOEXEC, b"newinstance,ptmxmode=0666,mode=0620,max=16")
        script.seal()

    def make(self, owner, home):
        """Enter a new IPC namespace and a new mount namespace with these mounts; their files are `owner`'s, `home` is the name of a kept workspace.

        Raises OSError; the caller may then be in a new namespace without all of them.
        """
        options = b"size=%d,nr_inodes=%d,uid=%d,gid=%d,mode=1777" % (*self._sizes, owner, owner)
        ctypes.memmove(self._options, options.ljust(_OPTIONS_BYTES, b"\0"), _OPTIONS_BYTES)
        if self._home is not None:
            ctypes.memmove(self._home, os.fsencode(f"{HOMES}/{home}/files").ljust(_HOME_BYTES, b"\0"), _HOME_BYTES)
        self._script.run()


def add_own_proc(script):
    """Add the mount of a cell's own /proc. Only a process of the cell can make it: it shows the processes that its maker sees."""
    script.add("mount", b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, b"hidepid=2")


def private_paths(mounts):
    """Of the tree's mounts and /etc, those of which each cell can have an overlay; none where the kernel has no overlays for us."""
    pid = os.fork()
    if pid == 0:
        try:
            unshare(CLONE_NEWNS)
            mount(b"overlay", b"/etc", b"overlay", MS_RDONLY, b"lowerdir=/etc:" + _EMPTY)
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(pid, 0)[1] != 0:
        return []
    return [os.fsencode(path) for path in ["/etc", *mounts] if os.path.isdir(path) and not set(path) & set(":,\\")]


def _bind(source, target, read_only=True):
    if os.path.isdir(source):
        os.makedirs(target, 0o755, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(os.fsencode(source), os.fsencode(target), None, MS_BIND)
    flags = MS_NOSUID | MS_NODEV | (MS_RDONLY if read_only else 0)
    given = os.statvfs(source).f_flag
    locked = given & (MS_NOEXEC | _MS_NOATIME | _MS_NODIRATIME)  # what the host has set may not be cleared
    relatime = _MS_RELATIME if given & _ST_RELATIME else 0
    mount(None, os.fsencode(target), None, MS_REMOUNT | MS_BIND | flags | locked | relatime)


def _add_devices(root):
    for name, (major, minor) in _DEVICES.items():
        path = os.path.join(root, "dev", name)
        try:
            os.mknod(path, 0o020666, os.makedev(major, minor))
            os.chmod(path, 0o666)
        except PermissionError:  # only the real root may make devices: everyone else binds the host's
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o666))
            mount(os.fsencode("/dev/" + name), os.fsencode(path), None, MS_BIND)


def _copy_etc(root):
    for name in [*_ETC, *[name for name in os.listdir("/etc") if name.startswith(_ETC_STARTS)]]:
        _copy("/etc/" + name, root + "/etc/" + name)
    for name, text in _ETC_TEXTS.items():
        _write(root + "/etc/" + name, text.encode())


def _copy(source, target):
    """Copy a small file, link or folder; what cannot be read is left out, since a runtime can do without it."""
    try:
        if os.path.islink(source):
            os.symlink(os.readlink(source), target)
        elif os.path.isdir(source):
            os.mkdir(target, 0o755)
            for name in os.listdir(source):
                _copy(source + "/" + name, target + "/" + name)
        elif os.path.isfile(source) and os.path.getsize(source) <= _MAX_ETC_FILE and os.stat(source).st_mode & 0o004:
            with open(source, "rb") as file:
                _write(target, file.read())
    except OSError:
        return


def _write(path, data):
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
