# tries: fill the workspace past its bound.
# judged by: the outcome, and the house's health.
# expect: outcome in OUT_OF_MEMORY,FAILED,KILLED,TIMED_OUT
# limits: wall_ms=8000 workspace_mib=8
with open("fill", "wb", 0) as file:
    for _ in range(400):
        if file.write(b"x" * (1 << 20)) != 1 << 20:
            raise SystemExit(9)
