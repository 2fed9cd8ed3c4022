# tries: start threads for ever.
# judged by: the outcome, and the house's health.
# expect: outcome in TIMED_OUT,KILLED,FAILED,OUT_OF_MEMORY
# limits: wall_ms=1500 processes=32 memory_mib=128
import threading
import time

while True:
    try:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    except RuntimeError:
        pass
