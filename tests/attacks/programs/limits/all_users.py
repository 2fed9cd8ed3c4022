# tries: slow every process of the same user or of the group down, to which a launcher may still belong.
# judged by: the house's health, and that its own processes are not changed.
import os

for which, who in ((os.PRIO_USER, 0), (os.PRIO_PGRP, 0), (os.PRIO_USER, os.getuid())):
    try:
        os.setpriority(which, who, 19)
    except OSError:
        pass
print("CONTAINED")
