# tries: the same in Python, with every descriptor closed and another name.
# judged by: the next run and the host see no process of it.
# within: 4000
import os
import time

import probe

print("CONTAINED", flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 256)
        probe.libc.prctl(15, b"kworker/0:1", 0, 0, 0)
        while True:
            time.sleep(0.1)
            with open("/dev/shm/daemon", "w") as file:
                file.write("alive")
    os._exit(0)
