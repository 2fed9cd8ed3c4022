"""Running a small program in a template, so that what an interpreter does once and keeps is done before cells are forked.

Tables of the compiler, names looked up in libraries, keywords of calls, specialised code: each cell would make them again, on pages
that it had to copy first.
"""

import os
import sys

from cell import job, python
from cell.wire import STATUS_FD, frame

_TIMES = 12  # CPython 3.11 specialises code that has been run eight times
_LIMITS = (-1,) * 5
_PROGRAM = b"print(1)\n"


def rehearse():
    """Run the program as a cell would, with all that it writes thrown away, and leave no trace but memory.

    Standard input, output and error are restored; the job's status descriptor is closed.
    """
    saved = [os.dup(fd) for fd in range(3)]
    main, argv, orig_argv, first = sys.modules["__main__"], sys.argv[:], sys.orig_argv[:], sys.path[0]
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    for _ in range(_TIMES):
        _run_once(null)
        sys.modules["__main__"] = main
    sys.argv[:], sys.orig_argv[:], sys.path[0] = argv, orig_argv, first
    for fd, copy in enumerate(saved):
        os.dup2(copy, fd)
        os.close(copy)
    os.close(null)


def _run_once(null):
    job_r, job_w = os.pipe()
    os.write(job_w, frame((True, "/dev/null", _PROGRAM, ["python3", "main.py"], None, {}, [], _LIMITS)))
    os.close(job_w)
    os.dup2(job_r, 0)
    os.close(job_r)
    os.dup2(null, STATUS_FD)  # which `receive` closes
    work = job.receive()
    code = python.compile_main(work)
    job.prepare_interpreter(work)
    exec(code, python.make_main(work))
    python.finish()
