# tries: stop itself for ever, so that a waiter that does not look for stops waits for ever.
# judged by: the clock ends it.
# expect: outcome in TIMED_OUT
# limits: wall_ms=1000
import os
import signal

os.kill(os.getpid(), signal.SIGSTOP)
