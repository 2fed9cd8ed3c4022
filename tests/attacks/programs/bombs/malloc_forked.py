# tries: take memory in many processes, each below the limit.
# judged by: the outcome, and the house's health.
# expect: outcome in OUT_OF_MEMORY,FAILED,KILLED,TIMED_OUT
# limits: wall_ms=4000 memory_mib=96 processes=32
import os
import time

for _ in range(12):
    if os.fork() == 0:
        break
held = []
for _ in range(8):
    held.append(b"x" * (8 << 20))
    time.sleep(0.02)
time.sleep(30)
