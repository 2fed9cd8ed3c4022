# tries: learn of the kernel's and other processes' insides by kcmp, process_madvise and lookups.
# judged by: one reaches the kernel's code.
import os

import probe

found = []
if probe.reached("kcmp", os.getpid(), os.getpid(), 1, 0, 0):
    found.append("kcmp")
pidfd = probe.call("pidfd_open", os.getppid() or 1, 0)
if pidfd >= 0 and probe.reached("process_madvise", pidfd, 0, 0, 21, 0):
    found.append("process_madvise")
if probe.reached("lookup_dcookie", 0, 0, 0):
    found.append("lookup_dcookie")
probe.verdict(*found)
