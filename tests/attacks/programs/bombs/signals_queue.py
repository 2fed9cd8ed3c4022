# tries: fill the queue of pending signals and of timers.
# judged by: the outcome, and the house's health.
# expect: outcome in TIMED_OUT,FAILED,KILLED,OUT_OF_MEMORY
# limits: wall_ms=2000 memory_mib=96
import ctypes
import os
import signal

libc = ctypes.CDLL(None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
timer = ctypes.c_void_p()
while True:
    libc.sigqueue(os.getpid(), signal.SIGRTMIN, ctypes.c_void_p(1))
    libc.timer_create(1, None, ctypes.byref(timer))
