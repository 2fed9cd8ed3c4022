# tries: fork for ever.
# judged by: the outcome, and the house's health.
# expect: outcome in TIMED_OUT,KILLED,FAILED,OUT_OF_MEMORY
# limits: wall_ms=1500 processes=32 memory_mib=128
import os

while True:
    try:
        os.fork()
    except OSError:
        pass
