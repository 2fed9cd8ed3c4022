# tries: overrun the C stack.
# judged by: the outcome, and the house's health.
# expect: outcome in KILLED,FAILED,TIMED_OUT
# limits: wall_ms=4000 memory_mib=256
import sys

sys.setrecursionlimit(10**9)
nested = []
for _ in range(10**6):
    nested = [nested]
repr(nested)
