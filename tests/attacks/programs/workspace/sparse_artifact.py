# tries: have the server read a file of an enormous size that takes no room.
# judged by: the server does not read it whole; the result comes.
# artifacts: big.bin small.txt
# may-refuse: yes
# brings: small.txt big.bin?
# most-bytes: 33554432
import os

with open("small.txt", "w") as file:
    file.write("small")
fd = os.open("big.bin", os.O_CREAT | os.O_WRONLY)
for size in (1 << 50, 1 << 44, 1 << 40, 1 << 36, 1 << 33):
    try:
        os.ftruncate(fd, size)
        break
    except OSError:
        continue
print("CONTAINED")
