# tries: take memory for ever.
# judged by: the outcome, and the house's health.
# expect: outcome in OUT_OF_MEMORY,FAILED,KILLED
# limits: wall_ms=5000 memory_mib=96
held = []
while True:
    held.append(bytearray(8 << 20))
