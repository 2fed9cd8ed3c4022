# tries: ask a cloud's metadata service for credentials, by TCP and UDP.
# judged by: a connection or an answer.
import socket

import probe

found = []
for port in (80, 443, 8080):
    with socket.socket() as client:
        client.settimeout(1)
        if client.connect_ex(("169.254.169.254", port)) == 0:
            found.append(f"tcp {port}")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    try:
        client.connect(("169.254.169.254", 53))
        client.send(b"x")
        found.append("udp leaves")
    except OSError:
        pass
probe.verdict(*found)
