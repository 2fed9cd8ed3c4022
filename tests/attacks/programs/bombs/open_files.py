# tries: open files for ever.
# judged by: the outcome, and the house's health.
# expect: outcome in FAILED,KILLED,OUT_OF_MEMORY,TIMED_OUT
# limits: wall_ms=3000 open_files=64
held = []
while True:
    held.append(open("/dev/null"))
