# tries: hang where a process cannot be interrupted: the parent of a vfork whose child never comes to its exec.
# judged by: the clock ends both.
# expect: outcome in TIMED_OUT
# limits: wall_ms=1000
import os

os.mkfifo("/tmp/never")
os.posix_spawn("/bin/true", ["true"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 3, "/tmp/never", os.O_RDONLY, 0)])
