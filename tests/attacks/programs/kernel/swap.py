# tries: switch swapping on or off (for a path that is not there).
# judged by: the kernel looks for the path.
import probe

probe.verdict(*(name for name in ("swapon", "swapoff") if probe.reached(name, b"/nowhere", 0)))
