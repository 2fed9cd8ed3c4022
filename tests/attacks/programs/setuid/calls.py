# tries: take another user's ids by every call.
# judged by: the user or group becomes one that it was not.
import os

import probe

before = (os.getresuid(), os.getresgid(), sorted(os.getgroups()))
other = [i for i in (0, 1, 1000, 65534) if i not in before[0]]
found = []
for uid in other:
    for what, act in (
        ("setuid", lambda: os.setuid(uid)), ("seteuid", lambda: os.seteuid(uid)), ("setresuid", lambda: os.setresuid(uid, uid, uid)),
        ("setgid", lambda: os.setgid(uid)), ("setresgid", lambda: os.setresgid(uid, uid, uid)), ("setgroups", lambda: os.setgroups([0, uid])),
    ):  # fmt: skip
        try:
            act()
            found.append(f"{what} {uid}")
        except OSError:
            pass
probe.libc.setfsuid(0)
if before[0][0] != 0 and probe.libc.setfsuid(-1) == 0:
    found.append("setfsuid 0")
if 0 in before[2]:
    found.append(f"in root's group: {before[2]}")
probe.verdict(*found)
