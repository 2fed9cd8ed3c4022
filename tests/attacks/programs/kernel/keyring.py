# tries: use the kernel's keyrings, which are not of a namespace and outlive a run.
# judged by: any of the three calls reaches the kernel.
import probe

found = []
if probe.call("add_key", b"user", b"mark", b"x", 1, -4) >= 0 or probe.reached("add_key", b"user", b"mark", b"x", 1, -3):
    found.append("add_key")
if probe.reached("request_key", b"user", b"mark", None, 0):
    found.append("request_key")
for what, args in {"session": (0, -3, 1), "user": (0, -4, 1), "join": (1, b"other"), "describe": (6, -3, 0, 0), "persistent": (22, 0, -3)}.items():
    if probe.reached("keyctl", *args):
        found.append("keyctl " + what)
probe.verdict(*found)
