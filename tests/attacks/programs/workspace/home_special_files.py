# tries: hang or crash the server on a fifo, a socket, a device and a directory that it is asked to read or replace.
# judged by: each answer comes promptly; the server stays well.
# home: yes
# reads: fifo sock dev dir
# writes: fifo/x sock/x dir
# lists: .
import os
import socket
import stat

os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("sock")
os.mkdir("dir")
try:
    os.mknod("dev", stat.S_IFCHR | 0o666, os.makedev(0, 0))  # a whiteout: the one device that anyone may make
except OSError:
    pass
print("CONTAINED")
