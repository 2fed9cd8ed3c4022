# tries: rename, remove or replace the workspace itself, so that the server comes back to another directory.
# judged by: what is brought back is not the host's; clean-up works.
# artifacts: passwd hostname
# brings:
import os

for act in (
    lambda: os.rename("/workspace", "/tmp/w"),
    lambda: os.rmdir("/workspace"),
    lambda: (os.chdir("/"), os.rename("/workspace", "/workspace2"), os.symlink("/etc", "/workspace")),
    lambda: os.chmod("/workspace", 0),
):
    try:
        act()
    except OSError:
        pass
print("CONTAINED")
