# tries: read the kernel's memory, addresses and logs.
# judged by: an address that is not zero, or a file that opens.
import os

import probe

found = [path for path in ("/proc/kcore", "/proc/kmsg", "/proc/vmallocinfo", "/proc/slabinfo", "/proc/kpageflags", "/proc/kpagecount", "/sys/kernel/debug/tracing/trace", "/sys/kernel/tracing/trace") if probe.read(path, 16)]
for path in ("/proc/kallsyms", "/proc/modules", "/proc/iomem", "/proc/timer_list"):
    for line in probe.read(path, 4096).splitlines()[:20]:
        word = line.split()[0] if path == "/proc/kallsyms" and line.split() else line.split()[-1] if path == "/proc/modules" and line.split() else b"0"
        if word.strip(b"0x").strip(b"0") and path in ("/proc/kallsyms", "/proc/modules") and all(c in b"0123456789abcdefx" for c in word):
            found.append(f"address in {path}")
            break
if probe.opens("/dev/kmsg", os.O_RDONLY):
    found.append("/dev/kmsg")
pagemap = probe.read("/proc/self/pagemap", 8)
if len(pagemap) == 8 and int.from_bytes(pagemap, "little") & ((1 << 55) - 1):
    found.append("physical addresses in pagemap")
probe.verdict(*found)
