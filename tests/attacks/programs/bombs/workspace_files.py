# tries: fill the workspace past its bound by many small files.
# judged by: the write past the bound fails, or ends the run.
# expect: outcome in OUT_OF_MEMORY,FAILED,KILLED,TIMED_OUT
# limits: wall_ms=8000 workspace_mib=8
import time

for index in range(160):
    with open(f"fill{index}", "wb", 0) as file:
        if file.write(b"x" * (1 << 18)) != 1 << 18:
            raise SystemExit(9)
    time.sleep(0.01)
