# tries: the classic way out of a chroot: keep a descriptor of the root, chroot deeper, climb.
# judged by: chroot is allowed, or the climb shows another root.
import os

import probe

here = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
before = os.stat("/")
os.makedirs("/tmp/deep", exist_ok=True)
found = []
try:
    os.chroot("/tmp/deep")
    found.append("chroot")
    os.fchdir(here)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
except OSError:
    os.fchdir(here)
    for _ in range(64):
        os.chdir("..")
if os.path.exists("root/.bashrc") or os.path.exists("var/lib/dpkg/status") or not os.path.samestat(os.stat("."), before):
    found.append("another root")
probe.verdict(*found)
