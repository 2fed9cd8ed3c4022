# tries: take shared anonymous memory, which no address space limit of a child counts.
# judged by: the outcome, and the house's health.
# expect: outcome in OUT_OF_MEMORY,FAILED,KILLED
# limits: wall_ms=5000 memory_mib=96
import mmap

held = []
while True:
    page = mmap.mmap(-1, 8 << 20)
    page.write(b"x" * (8 << 20))
    held.append(page)
