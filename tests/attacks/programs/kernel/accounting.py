# tries: switch process accounting or quotas on, read the kernel'\''s log by its call.
# judged by: one reaches the kernel.
import ctypes

import probe

found = []
if probe.reached("acct", b"/nowhere"):
    found.append("acct")
if probe.reached("quotactl", 0x800007 << 8, b"/nowhere", 0, 0):
    found.append("quotactl")
for action in (3, 10):
    if probe.call("syslog", action, ctypes.create_string_buffer(64), 64) >= 0:
        found.append(f"syslog {action}")
if probe.reached("vhangup"):
    found.append("vhangup")
probe.verdict(*found)
