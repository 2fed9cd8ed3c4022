# tries: fill the disk by attributes, names and links, which no byte quota counts.
# judged by: the outcome, and the house's health.
# expect: outcome in FAILED,KILLED,TIMED_OUT,OUT_OF_MEMORY
# limits: wall_ms=5000 workspace_inodes=3000
import os

for index in range(30_000):
    name = f"{index:06}" + "x" * 240
    open(name, "w").close()
    os.setxattr(name, "user.x", b"z" * 3000)
    os.symlink("y" * 4000, "l" + name)
