# tries: use more processor time than was given, spread over children that end.
# judged by: the run ends by its processor limit, before its wall time.
# expect: outcome in TIMED_OUT,KILLED
# limits: wall_ms=8000 cpu_ms=800 processes=16
# within: 7000
import os

for _ in range(3):
    os.fork()
while True:
    pass
