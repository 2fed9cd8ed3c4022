# tries: burn the processor in many threads and processes.
# judged by: the outcome, and the house's health.
# expect: outcome in TIMED_OUT,KILLED
# limits: wall_ms=1500 processes=16
import os

for _ in range(3):
    os.fork()
while True:
    pass
