# tries: restart the machine (asked with a wrong magic number, so that nothing happens).
# judged by: the kernel complains of the number, not of the right.
import errno

import probe

probe.verdict("reboot" if probe.call("reboot", 0, 0, 0, 0) not in (-errno.EPERM, -errno.EACCES, -errno.ENOSYS) else "")
