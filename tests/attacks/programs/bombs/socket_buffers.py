# tries: take the kernel'\''s memory by full sockets.
# judged by: the outcome, and the house's health.
# expect: outcome in OUT_OF_MEMORY,FAILED,KILLED,TIMED_OUT
# limits: wall_ms=4000 memory_mib=96 open_files=256
import socket

held = []
while True:
    left, right = socket.socketpair()
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
    left.setblocking(False)
    try:
        while left.send(b"x" * 65536):
            pass
    except BlockingIOError:
        pass
    held.append((left, right))
