# tries: burn the processor where no signal is looked at.
# judged by: the outcome, and the house's health.
# expect: outcome in TIMED_OUT,OUT_OF_MEMORY,FAILED,KILLED
# limits: wall_ms=1200 memory_mib=128
import math

math.factorial(10**9)
