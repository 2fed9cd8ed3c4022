# tries: open the memory of process 1 and of every other process, for reading and for writing.
# judged by: one can be opened.
import os

import probe

# A process of the same run is nobody else's: only those that this program did not start count, and it started none.
found = [f"{pid} {name}" for pid in probe.pids() for name in ("mem", "maps", "auxv", "syscall", "stack") if probe.read(f"/proc/{pid}/{name}", 64)]
found += [f"{pid} mem for writing" for pid in probe.pids() if probe.opens(f"/proc/{pid}/mem", os.O_RDWR)]
probe.verdict(*found)
