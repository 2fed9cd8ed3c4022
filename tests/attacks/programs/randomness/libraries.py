# tries: the same in libraries that keep a state of their own: OpenSSL, the C library, hashing of files' names.
# judged by: two runs print the same.
# between-runs: differ
import multiprocessing.process
import ssl

import probe

print("STATE openssl", ssl.RAND_bytes(8).hex())
if hasattr(probe.libc, "arc4random"):
    print("STATE arc4random", probe.libc.arc4random() & 0xFFFFFFFF)
print("STATE authkey", bytes(multiprocessing.process.current_process().authkey).hex())
print("CONTAINED")
