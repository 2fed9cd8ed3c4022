# tries: raise capabilities: capset, ambient, secure bits, keeping them over setuid.
# judged by: one is raised.
import ctypes

import probe

PR_SET_KEEPCAPS, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAPBSET_READ, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 8, 28, 47, 23, 38, 22
found = []
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
every = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
if probe.call("capset", header, every) == 0:
    found.append("capset")
for cap in range(41):
    if probe.libc.prctl(PR_CAP_AMBIENT, 2, cap, 0, 0) == 0:
        found.append(f"ambient {cap}")
if probe.libc.prctl(PR_SET_SECUREBITS, 0x2F, 0, 0, 0) == 0:
    found.append("secure bits")
if probe.libc.prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0:
    found.append("no_new_privs taken back")
if probe.libc.prctl(PR_SET_SECCOMP, 0, 0, 0, 0) == 0:
    found.append("filter taken off")
if int(probe.status()["CapEff"], 16):
    found.append("effective")
probe.verdict(*found)
