# tries: make locks for ever, which are memory of the kernel.
# judged by: the outcome, and the house's health.
# expect: outcome in FAILED,KILLED,TIMED_OUT,OUT_OF_MEMORY
# limits: wall_ms=3000 memory_mib=96
import fcntl

with open("locks", "wb+") as file:
    at = 0
    while True:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
        at += 2
