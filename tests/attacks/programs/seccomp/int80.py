# tries: pass the filter by the 32-bit entry of the kernel (int 0x80), whose numbers are others.
# judged by: a 32-bit call is answered.
import ctypes
import mmap
import platform

import probe


def int80(nr, first=0):
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # push rbx; mov eax, nr; mov ebx, first; int 0x80; pop rbx; cdqe; ret
    page.write(b"\x53\xb8" + nr.to_bytes(4, "little") + b"\xbb" + first.to_bytes(4, "little") + b"\xcd\x80\x5b\x48\x98\xc3")
    return ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()


found = []
if platform.machine() == "x86_64":
    for name, nr, first in (("getpid", 20, 0), ("unshare", 310, 0x10000000), ("keyctl", 288, 0), ("getuid32", 199, 0)):
        if probe.in_child(lambda: int80(nr, first) >= 0) == 0:
            found.append(name)
probe.verdict(*found)
