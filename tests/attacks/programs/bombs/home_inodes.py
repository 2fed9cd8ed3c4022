# tries: fill a home past its bound of files.
# judged by: the file past the bound fails, or ends the run.
# home: yes
# expect: outcome in OUT_OF_MEMORY,FAILED,KILLED,TIMED_OUT
# limits: wall_ms=8000 workspace_inodes=2000
import time

for index in range(20_000):
    open(f"f{index}", "w").close()
    if index % 100 == 0:
        time.sleep(0.02)
