# tries: stop the clock of the run: change timers, catch alarms, move time in the process.
# judged by: the clock ends it.
# expect: outcome in TIMED_OUT
# limits: wall_ms=1000
import signal
import time

signal.setitimer(signal.ITIMER_REAL, 0)
signal.alarm(0)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
time.monotonic = time.time = lambda: 0
while True:
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
