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
_JOB = frame((True, "/dev/null", b"print(1)\n", ["python3", "main.py"], None, {}, [], _LIMITS, None))


def rehearse():
    """Run the program as cells would, with all that it writes thrown away, and leave no trace but memory."""
    saved = [os.dup(fd) for fd in range(STATUS_FD + 1)]
    argv, orig_argv, first = sys.argv[:], sys.orig_argv[:], sys.path[0]
    for _ in range(_TIMES):
        _put_job()
        _run_job()
    sys.argv[:], sys.orig_argv[:], sys.path[0] = argv, orig_argv, first
    for fd, copy in enumerate(saved):
        os.dup2(copy, fd)
        os.close(copy)


def _put_job():
    """Lay out standard input, output and the status descriptor as a cell has them, with the program as its job."""
    os.dup2(0, STATUS_FD)
    job_r, job_w = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    os.write(job_w, _JOB)
    os.dup2(job_r, 0)
    os.dup2(null, 1)
    for fd in (job_r, job_w, null):
        os.close(fd)


def _run_job():
    """Do what a cell does with its job."""
    main = sys.modules["__main__"]
    work = job.receive()
    code = python.compile_main(work)
    job.prepare_interpreter(work)
    exec(code, python.make_main(work))
    python.finish(for_good=False)
    sys.modules["__main__"] = main
