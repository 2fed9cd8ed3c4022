# tries: fork for ever, each child in a session of its own, the parents gone at once.
# judged by: the outcome, and the house's health.
# expect: outcome in TIMED_OUT,KILLED,FAILED,OUT_OF_MEMORY,COMPLETED
# limits: wall_ms=1500 processes=32 memory_mib=128
import os

while True:
    try:
        if os.fork():
            os._exit(0)
        os.setsid()
        os.fork()
    except OSError:
        pass
