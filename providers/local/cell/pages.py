"""Huge pages for an interpreter that is forked again and again."""

import ctypes

from cell import linux
from cell.steps import ROOM_AT

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
            start, dash, end = word.partition("-")
            if dash:
                here = int(start, 16) <= address < int(end, 16)
            elif here and word == "AnonHugePages:":
                return int(rest.split()[0]) * 1024 >= _HUGE
    return False


def needless_memory():
    """The address and size of each mapping that a process can do without that only makes the calls of a script.

    Its stack, what libc and the kernel keep of its one thread, the script itself and the kernel's own mappings are not among them.
    """
    kept = (linux.tid_address(), ROOM_AT)
    return [
        (start, end - start)
        for start, end, _, name in _mappings()
        if (name == "[heap]" or name[:1] != "[") and not any(start <= address < end for address in kept)
    ]


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


def _mappings():
    """This process's mappings: start, end, rights and name of each."""
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            start, _, end = fields[0].partition("-")
            found.append((int(start, 16), int(end, 16), fields[1], fields[5].rstrip("\n") if len(fields) > 5 else ""))
    return found
