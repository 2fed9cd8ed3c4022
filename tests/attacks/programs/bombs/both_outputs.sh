# tries: write both outputs for ever from many processes.
# judged by: the outcome, and the house's health.
# expect: outcome in OUTPUT_LIMIT,TIMED_OUT,KILLED
# limits: wall_ms=4000 output_kib=64 output_hard_mib=8 processes=16
for i in 1 2 3 4; do (yes out) & (yes err >&2) & done
wait
