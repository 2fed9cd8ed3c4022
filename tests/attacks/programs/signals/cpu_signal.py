# tries: outlive the processor's limit by catching SIGXCPU and by many short children.
# judged by: the run ends.
# expect: outcome in TIMED_OUT,KILLED
# limits: wall_ms=3000 cpu_ms=1000
import os
import signal

signal.signal(signal.SIGXCPU, signal.SIG_IGN)
while True:
    pid = os.fork()
    if pid == 0:
        for _ in range(2_000_000):
            pass
        os._exit(0)
    os.waitpid(pid, 0)
