# tries: end the main thread by the system call, and go on in another thread for ever.
# judged by: the clock ends it.
# expect: outcome in TIMED_OUT,COMPLETED,FAILED,KILLED
# limits: wall_ms=1200
import ctypes
import threading
import time

threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
ctypes.CDLL(None).syscall(60)  # exit, not exit_group: the process stays while a thread does
