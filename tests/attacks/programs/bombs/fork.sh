# tries: the classic.
# judged by: the outcome, and the house's health.
# expect: outcome in TIMED_OUT,KILLED,FAILED,OUT_OF_MEMORY,COMPLETED
# limits: wall_ms=1500 processes=32 memory_mib=128
:() { : | : & }
: 2>/dev/null; while true; do : 2>/dev/null; done 2>/dev/null
