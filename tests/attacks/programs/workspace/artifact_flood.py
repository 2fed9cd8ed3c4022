# tries: bring back far too many files, and far too many bytes.
# judged by: the answer is bounded, and comes.
# expect: outcome in COMPLETED,KILLED,OUT_OF_MEMORY
# artifacts: **/*
# may-refuse: yes
# brings: *
# most-bytes: 67108864
# limits: wall_ms=8000
for index in range(2000):
    with open(f"f{index}", "wb") as file:
        file.write(b"x")
for index in range(12):
    try:
        with open(f"big{index}", "wb") as file:
            for _ in range(8):
                file.write(bytes(1 << 20))
    except OSError:
        break
print("CONTAINED")
