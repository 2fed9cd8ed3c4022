# tries: change the process for ever by exec, so that nobody can hold it.
# judged by: the outcome, and the house's health.
# expect: outcome in TIMED_OUT,KILLED
# limits: wall_ms=1200 processes=32
(exec "$BASH" "$0" child) &
exec "$BASH" "$0" again
