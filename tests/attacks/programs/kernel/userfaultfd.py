# tries: stop the kernel in the middle of a copy by userfaultfd.
# judged by: one is made, by the call or by its device.
import os

import probe

found = [flags for flags in (0, 1, 0x80000 | 1) if probe.reached("userfaultfd", flags)]
if probe.opens("/dev/userfaultfd", os.O_RDWR):
    found.append("device")
probe.verdict(*found)
