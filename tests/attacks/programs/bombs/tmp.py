# tries: fill /tmp, which is memory, by files that are each below any bound of a file.
# judged by: the outcome, and the house's health.
# expect: outcome in OUT_OF_MEMORY,FAILED,KILLED
# limits: wall_ms=5000 memory_mib=96
for index in range(150):
    with open(f"/tmp/fill{index}", "wb", 0) as file:
        for _ in range(4):
            if file.write(b"x" * (1 << 20)) != 1 << 20:
                raise SystemExit(9)
