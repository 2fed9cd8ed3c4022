# tries: open more files than allowed by sending them to itself.
# judged by: the outcome, and the house's health.
# expect: outcome in FAILED,KILLED,TIMED_OUT,OUT_OF_MEMORY
# limits: wall_ms=3000 open_files=64
import os
import socket

left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
sent = 0
while sent < 100_000:
    fd = os.open("/dev/null", os.O_RDONLY)
    socket.send_fds(left, [b"x"], [fd, right.fileno()])
    os.close(fd)
    sent += 1
