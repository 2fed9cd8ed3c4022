# tries: leave dead children for ever.
# judged by: the outcome, and the house's health.
# expect: outcome in TIMED_OUT,KILLED,FAILED,OUT_OF_MEMORY
# limits: wall_ms=1500 processes=32 memory_mib=128
import os

while True:
    try:
        if os.fork() == 0:
            os._exit(0)
    except OSError:
        pass
