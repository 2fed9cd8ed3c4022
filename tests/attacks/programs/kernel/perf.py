# tries: watch the processor and other processes by performance counters.
# judged by: perf_event_open reaches the kernel.
import ctypes

import probe

attr = (ctypes.c_uint32 * 32)(1, 128)
probe.verdict(*(pid for pid in (0, -1, 1) if probe.reached("perf_event_open", attr, pid, -1 if pid != -1 else 0, -1, 0)))
