# tries: fill the workspace by many files at once.
# judged by: the outcome, and the house's health.
# expect: outcome in FAILED,KILLED,TIMED_OUT,OUT_OF_MEMORY
# limits: wall_ms=8000 workspace_mib=8 processes=32
for i in 1 2 3 4 5 6 7 8; do head -c 30M /dev/zero >f$i & pids="$pids $!"; done
code=0; for pid in $pids; do wait $pid || code=1; done
exit $code
