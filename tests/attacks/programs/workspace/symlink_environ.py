# tries: have the server follow a symlink into its own /proc (how snekbox gave away its environment).
# judged by: nothing is brought back.
# artifacts: e.txt c.txt m.txt f.txt *.lnk
# brings:
import os

for name, target in (("e.txt", "/proc/self/environ"), ("c.txt", "/proc/self/cmdline"), ("m.txt", "/proc/self/maps"), ("f.txt", "/proc/self/fd/0"), ("a.lnk", "/proc/self/mem")):
    os.symlink(target, name)
print("CONTAINED")
