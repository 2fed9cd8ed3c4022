# tries: leave shared memory, queues, semaphores and keys for the next run.
# judged by: the next run finds one.
# phases: plant look
import os
import sys

import probe

found = []
if sys.argv[1] == "plant":
    for name, args in (("shmget", (0x77, 4096, 0o1666)), ("msgget", (0x77, 0o1666)), ("semget", (0x77, 1, 0o1666)), ("mq_open", (b"left", os.O_CREAT | os.O_RDWR, 0o666, None)), ("add_key", (b"user", b"left", b"x", 1, -4))):
        probe.call(name, *args)
else:
    for name, args in (("shmget", (0x77, 4096, 0)), ("msgget", (0x77, 0)), ("semget", (0x77, 1, 0)), ("mq_open", (b"left", os.O_RDONLY, 0, None)), ("request_key", (b"user", b"left", None, -4))):
        if probe.call(name, *args) >= 0:
            found.append(name)
    for table in ("shm", "msg", "sem"):
        if len(probe.read("/proc/sysvipc/" + table).splitlines()) > 1:
            found.append("sysvipc/" + table)
probe.verdict(*found)
