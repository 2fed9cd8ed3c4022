# tries: write errors for ever.
# judged by: the outcome, and the house's health.
# expect: outcome in OUTPUT_LIMIT,TIMED_OUT,KILLED
# limits: wall_ms=4000 output_kib=64 output_hard_mib=8
import os

while True:
    os.write(2, b"error " * 10_000)
