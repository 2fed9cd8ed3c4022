# tries: put its own filter before the house's: allow everything, or take the decisions by a listener.
# judged by: what was denied works afterwards.
import ctypes
import struct

import probe

allow = struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000)
code = ctypes.create_string_buffer(allow)
program = struct.pack("<HxxxxxxQ", 1, ctypes.addressof(code))


def attempt(flags):
    fd = probe.raw(277 if probe.number("iopl") is None else 317, 1, flags, program)
    return (fd >= 0) and (probe.call("unshare", 0x10000000) == 0 or probe.call("keyctl", 0, -3, 1) >= 0)


probe.verdict(*(f"flags {flags}" for flags in (0, 1, 4, 8) if probe.in_child(lambda: attempt(flags)) == 0))
