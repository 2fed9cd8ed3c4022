# tries: make mappings for ever, which cost the kernel and not the program.
# judged by: the outcome, and the house's health.
# expect: outcome in FAILED,KILLED,TIMED_OUT,OUT_OF_MEMORY
# limits: wall_ms=4000 memory_mib=96
import mmap

held = []
while True:
    held.append(mmap.mmap(-1, 4096, prot=mmap.PROT_READ if len(held) % 2 else mmap.PROT_READ | mmap.PROT_WRITE))
