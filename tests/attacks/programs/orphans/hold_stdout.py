# tries: make the house wait for a child that holds stdout after the program has ended.
# judged by: the result comes at once, whole, and the child is gone.
# limits: wall_ms=10000
# within: 4000
import os
import time

if os.fork() == 0:
    time.sleep(60)
    os._exit(0)
print("CONTAINED")
