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
_HUGE = 2 << 20
_READ, _EXECUTE = 1, 4


def use_huge_pages():
    """Put the interpreter's program text into huge pages, as far as it fills any.

    A fork copies one entry for each of them, and the new process need not look up the five hundred small pages in it one by one.
    Where the kernel has no huge page to give, or forbids programs in memory without a file (SELinux), all stays as it is.
    """
    for start, end, executable in _read_only_files():
        for address in range(-(-start // _HUGE) * _HUGE, end - _HUGE + 1, _HUGE):
            copy = linux.map_aligned(_HUGE)
            try:
                ctypes.memmove(copy, address, _HUGE)
                linux.protect(copy, _HUGE, _READ | (_EXECUTE if executable else 0))
                if _is_huge(copy):
                    linux.move_mapping(copy, address, _HUGE)  # the same bytes at the same place: even this call returns to them
                    continue
            except OSError:
                pass
            linux.unmap(copy, _HUGE)
            return


def _is_huge(address):
    here = False
    with open("/proc/self/smaps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            word, _, rest = line.partition(" ")
            if "-" in word:
                here = word.startswith(f"{address:08x}-")
            elif here and word == "AnonHugePages:":
                return int(rest.split()[0]) * 1024 == _HUGE
    return False


def _read_only_files():
    """The stretches of neighbouring mappings of files that are only read or executed: start, end, and whether any is executable."""
    found = []
    for start, end, rights, name in _mappings():
        if name.startswith("/") and rights in ("r--p", "r-xp"):
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], end, found[-1][2] or rights[2] == "x")
            else:
                found.append((start, end, rights[2] == "x"))
    return found


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
