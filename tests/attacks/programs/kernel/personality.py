# tries: switch address randomisation off and make every page executable, for programs that come after.
# judged by: the personality changes.
import probe

found = [hex(flag) for flag in (0x0040000, 0x0400000, 0x0100000, 0x0008, 0x0200000) if probe.in_child(lambda: probe.call("personality", flag) >= 0 and probe.call("personality", 0xFFFFFFFF) & flag) == 0]
probe.verdict(*found)
