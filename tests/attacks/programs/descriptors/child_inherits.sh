# tries: find what a grandchild is given that bash hides (close-on-exec is not on everything).
# judged by: a descriptor above 2 in a program that bash starts.
found=$(python3 - <<'PY'
import os
print(" ".join(f"{fd}={os.readlink('/proc/self/fd/' + fd)}" for fd in os.listdir("/proc/self/fd") if int(fd) > 2 and os.path.lexists("/proc/self/fd/" + fd) and not os.readlink("/proc/self/fd/" + fd).endswith("/fd")))
PY
)
if [ -n "$found" ]; then echo "ESCAPED: $found"; else echo CONTAINED; fi
