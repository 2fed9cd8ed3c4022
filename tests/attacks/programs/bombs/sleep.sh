# tries: do nothing for ever.
# judged by: the outcome, and the house's health.
# expect: outcome in TIMED_OUT
# limits: wall_ms=1000
sleep 1000
