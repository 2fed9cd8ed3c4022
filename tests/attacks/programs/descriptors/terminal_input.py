# tries: push keys into a terminal of the server (TIOCSTI, TIOCLINUX) and take it over (TIOCSCTTY).
# judged by: any of it is accepted on an inherited descriptor or on /dev/tty.
import fcntl
import os
import termios

import probe

TIOCLINUX, TIOCSCTTY = 0x541C, 0x540E
found = []
fds = [0, 1, 2]
for path in ("/dev/tty", "/dev/console", "/dev/tty0", "/dev/tty1"):
    try:
        fds.append(os.open(path, os.O_RDWR | os.O_NOCTTY))
        found.append("opens " + path)
    except OSError:
        pass
for fd in fds:
    for what, request, value in (("TIOCSTI", termios.TIOCSTI, b"x"), ("TIOCLINUX", TIOCLINUX, b"\x03"), ("TIOCSCTTY", TIOCSCTTY, 0)):
        try:
            fcntl.ioctl(fd, request, value)
            found.append(f"{what} on {fd}")
        except OSError:
            pass
probe.verdict(*found)
