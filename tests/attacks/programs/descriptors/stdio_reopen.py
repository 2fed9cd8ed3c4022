# tries: reopen the own stdio the other way round, to read what others write or to write into a server's file.
# judged by: stdin can be written and seen by the server's file, or stdout is a file or a terminal.
import os
import stat

import probe

found = []
for fd in (0, 1, 2):
    info = os.fstat(fd)
    if stat.S_ISREG(info.st_mode):
        found.append(f"{fd} is a file of {info.st_size} bytes")
    if stat.S_ISCHR(info.st_mode) and os.isatty(fd):
        found.append(f"{fd} is a terminal")
    if stat.S_ISSOCK(info.st_mode):
        found.append(f"{fd} is a socket")
probe.verdict(*found)
