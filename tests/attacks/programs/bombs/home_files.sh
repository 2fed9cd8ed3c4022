# tries: fill a home, which is on the disk of the host, past its bound of bytes.
# judged by: the write past the bound fails, or ends the run.
# home: yes
# expect: outcome in OUT_OF_MEMORY,FAILED,KILLED,TIMED_OUT
# limits: wall_ms=8000 workspace_mib=8
for i in {1..300}; do head -c 1M /dev/zero >fill$i || exit 9; sleep 0.01; done
