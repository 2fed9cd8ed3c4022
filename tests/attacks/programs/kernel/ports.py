# tries: reach the hardware by ports and by segments.
# judged by: a port opens or a segment is made.
import ctypes

import probe

found = []
if probe.call("iopl", 3) == 0:
    found.append("iopl")
if probe.call("ioperm", 0x80, 1, 1) == 0:
    found.append("ioperm")
if probe.reached("modify_ldt", 0, ctypes.create_string_buffer(16), 16):
    found.append("modify_ldt")
if any(probe.opens(path, 2) for path in ("/dev/port", "/dev/mem", "/dev/cpu/0/msr")):
    found.append("device")
probe.verdict(*found)
