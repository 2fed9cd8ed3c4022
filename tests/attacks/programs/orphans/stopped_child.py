# tries: leave a child that is stopped, which no polite signal wakes.
# judged by: it is gone with the run.
# within: 4000
import os
import signal
import time

pid = os.fork()
if pid == 0:
    os.setsid()
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)
os.waitpid(pid, os.WUNTRACED)
print("CONTAINED")
