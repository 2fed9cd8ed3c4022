# tries: hand the server a socket and a whiteout device as artifacts.
# judged by: neither is brought back, promptly.
# artifacts: s.txt d.txt
# brings:
import os
import socket
import stat

socket.socket(socket.AF_UNIX).bind("s.txt")
try:
    os.mknod("d.txt", stat.S_IFCHR | 0o666, os.makedev(0, 0))
except OSError:
    pass
print("CONTAINED")
