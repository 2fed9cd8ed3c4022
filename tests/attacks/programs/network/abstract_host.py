# tries: connect to an abstract socket of the host, which no file system guards.
# judged by: a connection or a datagram that leaves.
# args: {abstract_hex}
import socket
import sys

import probe

found = []
name = b"\0" + bytes.fromhex(sys.argv[1])
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    try:
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.settimeout(1)
            client.connect(name)
            found.append(kind.name)
    except OSError:
        pass
probe.verdict(*found)
