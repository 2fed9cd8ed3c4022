# tries: take the kernel'\''s memory by shared segments, queues and semaphores.
# judged by: the outcome, and the house's health.
# expect: outcome in FAILED,KILLED,TIMED_OUT,OUT_OF_MEMORY
# limits: wall_ms=4000 memory_mib=96
import ctypes

libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
message = ctypes.create_string_buffer(8192)
for index in range(4000):
    segment = libc.shmget(0, 1 << 20, 0o1600)
    where = libc.shmat(segment, None, 0)
    if where and where != ctypes.c_void_p(-1).value:
        ctypes.memset(where, 1, 1 << 20)
    queue = libc.msgget(0, 0o1600)
    for _ in range(4):
        libc.msgsnd(queue, message, 4000, 0o4000)
    libc.semget(0, 100, 0o1600)
raise SystemExit(9)
