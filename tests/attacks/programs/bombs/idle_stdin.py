# tries: never read a large stdin, so that a writer waits for ever.
# judged by: the outcome, and the house's health.
# expect: outcome in COMPLETED,TIMED_OUT
# limits: wall_ms=2000
# stdin-bytes: 8388608
import time

time.sleep(0.5)
print("CONTAINED")
