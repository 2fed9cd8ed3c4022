# tries: take memory as files that have no name.
# judged by: the outcome, and the house's health.
# expect: outcome in OUT_OF_MEMORY,FAILED,KILLED,TIMED_OUT
# limits: wall_ms=5000 memory_mib=96
import os

held = []
for _ in range(100):
    fd = os.memfd_create("x")
    for _ in range(8):
        os.write(fd, b"x" * (1 << 20))
    held.append(fd)
raise SystemExit(9)
