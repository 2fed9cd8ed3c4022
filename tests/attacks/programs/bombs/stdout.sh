# tries: write for ever.
# judged by: the outcome, and the house's health.
# expect: outcome in OUTPUT_LIMIT,TIMED_OUT,KILLED
# limits: wall_ms=4000 output_kib=64 output_hard_mib=8
exec yes
