"""What memory a cell touches, so that it is at hand before its program comes.

After a fork a page that is written to is copied first, and a page of a mapped file has to be looked up again: each costs microseconds,
some hundred of them most of what a short program takes. It is nearly the same pages each time.
"""

import ctypes
import os
import struct

from cell import linux

_PAGE = 4096
_ENTRY = 8  # bytes of a page's entry in /proc/self/pagemap
_OWN = 1 << 63 | 1 << 56  # the page is there, and nobody else has it
_READ, _WRITE, _EXECUTE = 1, 2, 4


def copy_file_pages_at_fork():
    """Let a fork copy the page tables of this process's libraries: the kernel does that for a mapping that has a page of its own.

    Where it is not allowed (SELinux) a new process finds these pages as it needs them.
    """
    for start, end, rights, name in _mappings():
        if name.startswith("/") and "w" not in rights and rights[3] == "p" and rights != "---p":
            protection = (_READ if "r" in rights else 0) | (_EXECUTE if "x" in rights else 0)
            try:
                linux.protect(start, end - start, protection | _READ | _WRITE)
                byte = ctypes.c_char.from_address(start)
                byte.value = byte.value  # the same: it is the write that makes the page ours
                linux.protect(start, end - start, protection)
            except OSError:
                return


def written_by(run):
    """The ranges of memory, each an address and a size, that a forked process writes to when it calls `run`."""
    mappings = [(start, end) for start, end, rights, _ in _mappings() if rights == "rw-p"]
    # What is looked at must not be changed by looking: all that this needs is made before.
    entries = [(start // _PAGE * _ENTRY, bytearray((end - start) // _PAGE * _ENTRY)) for start, end in mappings]
    answer = os.memfd_create("pages")
    pid = os.fork()
    if pid == 0:
        try:
            run()
            linux.prctl(linux.PR_SET_DUMPABLE, 1)  # else its own entries in /proc belong to root
            pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
            for at, found in entries:
                os.preadv(pagemap, [found], at)
                os.write(answer, found)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    with open(answer, "rb") as file:
        file.seek(0)
        found = file.read()
    if len(found) != sum(len(buffer) for _, buffer in entries):
        return []  # a kernel that does not tell
    addresses = [address for start, end in mappings for address in range(start, end, _PAGE)]
    return _ranges([at for at, entry in zip(addresses, struct.unpack(f"={len(addresses)}Q", found), strict=True) if entry & _OWN == _OWN])


def _ranges(addresses):
    ranges = []
    for address in addresses:
        if ranges and sum(ranges[-1]) == address:
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + _PAGE)
        else:
            ranges.append((address, _PAGE))
    return ranges


def _mappings():
    """This process's mappings: start, end, rights and name of each."""
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            start, _, end = fields[0].partition("-")
            found.append((int(start, 16), int(end, 16), fields[1], fields[5].rstrip("\n") if len(fields) > 5 else ""))
    return found
