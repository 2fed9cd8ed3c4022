# tries: make files for ever.
# judged by: the outcome, and the house's health.
# expect: outcome in FAILED,KILLED,TIMED_OUT,OUT_OF_MEMORY
# limits: wall_ms=8000 workspace_inodes=2000
for index in range(200_000):
    open(f"f{index}", "w").close()
