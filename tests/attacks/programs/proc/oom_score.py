# tries: make this run the last that the kernel kills when memory is short.
# judged by: the score can be lowered below what the run started with.
import probe

before = int(probe.read("/proc/self/oom_score_adj"))
found = []
for value in (-1000, -500, before - 1):
    if value >= before:
        continue
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(value))
    except OSError:
        continue
    if int(probe.read("/proc/self/oom_score_adj")) < before:
        found.append(f"{before} became {value}")
if before < 0:
    found.append(f"started with {before}")
probe.verdict(*found)
