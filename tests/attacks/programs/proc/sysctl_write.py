# tries: open every kernel setting for writing. Nothing is written but one own value.
# judged by: one can be opened.
import os

import probe


def refused(path):
    """Whether a file that anyone may open still refuses what is written: its own value."""
    with open(path, "rb+", 0) as file:
        try:
            file.write(file.read())
        except OSError:
            return True
    return False


found = []
for folder, _, files in os.walk("/proc/sys"):
    found += [os.path.join(folder, name) for name in files if probe.opens(os.path.join(folder, name), os.O_WRONLY) and not (name == "ns_last_pid" and refused(os.path.join(folder, name)))]
for name in ("sysrq-trigger", "latency_stats", "mtrr", "irq/default_smp_affinity", "scsi/scsi", "acpi/wakeup", "timer_list", "kpagecount", "bus/pci/00/00.0"):
    if probe.opens("/proc/" + name, os.O_WRONLY):
        found.append(name)
probe.verdict(*found[:20])
