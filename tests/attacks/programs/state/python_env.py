# tries: the same by what Python reads: PYTHONPATH, PYTHONSTARTUP, PYTHONUSERBASE, PYTHONBREAKPOINT, PYTHONWARNINGS, PYTHONINSPECT.
# judged by: the run alone is changed.
# env: PYTHONPATH=/workspace/evil:/workspace PYTHONSTARTUP=/workspace/evil.sh PYTHONUSERBASE=/workspace PYTHONBREAKPOINT=os.system PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=1
import os

import probe

probe.verdict(probe.PREFIX if any(probe.PREFIX in value for value in os.environ.values()) else "", "root" if os.getuid() == 0 and not open("/proc/self/uid_map").read().split()[1] != "0" else "")
