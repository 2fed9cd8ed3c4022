# tries: find a secret of the server in this process's own memory, which was copied from a warm one.
# judged by: a planted secret, or another run's mark, anywhere in the readable memory.
# limits: wall_ms=20000
import probe

found = set()
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps:
        span, mode = line.split()[:2]
        low, high = (int(part, 16) for part in span.split("-"))
        if "r" not in mode or high - low > 256 << 20 or "[v" in line:
            continue
        for start in range(low, high, 1 << 20):
            try:
                memory.seek(start)
                block = memory.read(min(1 << 20, high - start))
            except (OSError, ValueError, OverflowError):
                continue
            if match := probe.SECRET.search(block):
                found.add(match.group()[: len(probe.PREFIX) + 8].decode())
probe.verdict(*found)
