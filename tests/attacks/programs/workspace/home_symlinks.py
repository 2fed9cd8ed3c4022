# tries: have the server read and list through symlinks that a run left in the home.
# judged by: each read is refused or gives bytes of the home; listing names the links and does not enter them.
# home: yes
# reads: passwd shadow environ loop/x dir/passwd dir/hostname up/etc/passwd chain
# lists: . dir up
import os

for name, target in (
    ("passwd", "/etc/passwd"), ("shadow", "/etc/shadow"), ("environ", "/proc/self/environ"), ("loop", "loop"),
    ("dir", "/etc"), ("up", "../../../.."), ("chain", "passwd"),
):  # fmt: skip
    os.symlink(target, name)
print("CONTAINED")
