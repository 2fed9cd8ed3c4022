# tries: fill /dev/shm, which is memory, from processes that are gone before it counts.
# judged by: the outcome, and the house's health.
# expect: outcome in OUT_OF_MEMORY,FAILED,KILLED
# limits: wall_ms=5000 memory_mib=96
for i in {1..120}; do head -c 4M /dev/zero >/dev/shm/fill$i || exit 9; done
