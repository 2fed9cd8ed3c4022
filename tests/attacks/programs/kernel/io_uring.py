# tries: use io_uring, whose operations pass no filter.
# judged by: a ring can be made.
import ctypes

import probe

probe.verdict("io_uring" if probe.call("io_uring_setup", 8, ctypes.create_string_buffer(120)) >= 0 else "", "reached" if probe.reached("io_uring_setup", 0, 0) else "")
