"""Which paths a program looks up when it starts."""

import os

# By the loader, and by the C library for its locale; some are not there, which takes as long to find out.
_ALWAYS = (
    "/etc/ld.so.preload",
    "/etc/ld.so.cache",
    "/usr/lib/locale/locale-archive",
    "/usr/share/locale/locale.alias",
    "/usr/lib/locale/C.UTF-8/LC_CTYPE",
    "/usr/lib/locale/C.utf8/LC_CTYPE",
)
_LIBC = "/libc.so.6"
_CONVERSIONS = "/gconv/gconv-modules.cache"  # beside it


def looked_up_at_start(program):
    """Paths of a program, its dynamic loader and its libraries, as far as the loader tells, and of what these look for."""
    answer_r, answer_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(answer_w, 1)
            os.execve(program, [program, "--version"], {"LD_TRACE_LOADED_OBJECTS": "1"})
        finally:
            os._exit(127)
    os.close(answer_w)
    with open(answer_r, encoding="utf-8", errors="surrogateescape") as answer:
        words = answer.read().split()
    os.waitpid(pid, 0)
    paths = [word for word in words if word.startswith("/")]
    return [program, *_ALWAYS, *paths, *[os.path.dirname(os.path.realpath(path)) + _CONVERSIONS for path in paths if path.endswith(_LIBC)]]
