# tries: break the server's end of the pipes: non-blocking, packet mode, shrunk, grown, signals on input.
# judged by: the output still arrives whole, and the house stays well.
# expect: outcome in COMPLETED
import fcntl
import os

for fd in (0, 1, 2):
    for act in (
        lambda: fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 4096),
        lambda: fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 1 << 20),
        lambda: fcntl.fcntl(fd, fcntl.F_SETOWN, 1),
        lambda: fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_DIRECT | os.O_ASYNC),
        lambda: fcntl.fcntl(fd, fcntl.F_SETFL, 0),
    ):
        try:
            act()
        except OSError:
            pass
print("x" * 200_000)
print("CONTAINED")
