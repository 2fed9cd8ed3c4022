# tries: make files for ever where they are memory of the kernel.
# judged by: the outcome, and the house's health.
# expect: outcome in FAILED,KILLED,TIMED_OUT,OUT_OF_MEMORY
# limits: wall_ms=8000 memory_mib=128
for folder in ("/tmp", "/dev/shm"):
    try:
        for index in range(400_000):
            open(f"{folder}/f{index}", "w").close()
    except OSError:
        pass
raise SystemExit(9)
