# tries: switch to 32-bit code by a far return, and call the kernel from there.
# judged by: a call made from 32-bit code is answered.
import ctypes
import mmap
import platform

import probe

MAP_32BIT = 0x40


def attempt():
    probe.libc.mmap.restype = ctypes.c_void_p
    page = probe.libc.mmap(None, 4096, 7, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT, -1, 0)
    # 64-bit: push 0x23; push code32; retfq     32-bit: mov eax,252 (exit_group); mov ebx,0; int 0x80; hlt
    code32 = page + 64
    entry = b"\x6a\x23\x68" + code32.to_bytes(4, "little") + b"\x48\xcb"
    ctypes.memmove(page, entry, len(entry))
    inner = b"\xb8\xfc\x00\x00\x00\xbb\x00\x00\x00\x00\xcd\x80\xf4"
    ctypes.memmove(code32, inner, len(inner))
    ctypes.CFUNCTYPE(None)(page)()
    return False


probe.verdict("exit_group from 32-bit code" if platform.machine() == "x86_64" and probe.in_child(attempt) == 0 else "")
