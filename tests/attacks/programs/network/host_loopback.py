# tries: reach a server that listens on the host's loopback, by every spelling of it.
# judged by: a connection.
# args: {tcp_port}
import socket
import sys

import probe

port = int(sys.argv[1])
found = []
for family, address in (
    (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET, "127.1.2.3"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::"),
    (socket.AF_INET6, "::ffff:127.0.0.1"),
):  # fmt: skip
    try:
        with socket.socket(family) as client:
            client.settimeout(1)
            client.connect((address, port))
            found.append(address)
    except OSError:
        pass
probe.verdict(*found)
