# tries: reserve room without writing it.
# judged by: the outcome, and the house's health.
# expect: outcome in FAILED,KILLED,TIMED_OUT,OUT_OF_MEMORY
# limits: wall_ms=8000 workspace_mib=8
fallocate -l 300M reserved || exit 1
