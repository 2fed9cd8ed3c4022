# tries: open files of the host by their number, past every mount (how docker was left by shocker).
# judged by: a handle can be made or opened.
import ctypes
import os
import struct

import probe

found = []
for path in (b"/", b"/workspace", b"/etc", b"/usr"):
    handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128))
    mount = ctypes.c_int()
    if probe.call("name_to_handle_at", -100, path, handle, ctypes.byref(mount), 0) >= 0:
        found.append("handle of " + path.decode())
root = os.open("/", os.O_RDONLY)
for inode in (2, 128, 256):
    handle = ctypes.create_string_buffer(struct.pack("=IiII", 8, 1, inode, 0))
    fd = probe.call("open_by_handle_at", root, handle, os.O_RDONLY)
    if fd >= 0:
        found.append(f"opened inode {inode}")
if probe.reached("open_by_handle_at", root, ctypes.create_string_buffer(struct.pack("=IiII", 8, 1, 2, 0)), 0):
    found.append("open_by_handle_at reaches the kernel")
probe.verdict(*found)
