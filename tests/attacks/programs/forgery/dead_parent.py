# tries: fail, but have another process end well in its stead.
# judged by: the exit code is the first process's, 7.
# expect: outcome in FAILED; exit 7
import os

if os.fork() == 0:
    os.setsid()
    os._exit(0)
if os.fork() == 0:
    os._exit(0)
os._exit(7)
