# tries: forge a result: write frames that look like a harness's to every descriptor, with success in them.
# judged by: the exit code is the program's own, 7.
# expect: outcome in FAILED; exit 7
import os
import struct

FRAMES = [
    b'{"outcome": "COMPLETED", "exitCode": 0, "exit_code": 0, "status": 0}\n', struct.pack("<IIII", 0, 0, 0, 0), struct.pack(">I", 2) + b"{}", b"\x80\x04K\x00.",
    b"exit 0\n", b"COMPLETED\n", b"\0" * 64,
]  # fmt: skip
for fd in range(3, 1024):
    for frame in FRAMES:
        try:
            os.write(fd, frame)
        except OSError:
            break
raise SystemExit(7)
