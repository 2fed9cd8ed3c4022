"""Running a small program in a template, so that what an interpreter does once and keeps is done before cells are forked.

Tables of the compiler, names looked up in libraries, keywords of calls, specialised code: each cell would make them again, on pages
that it had to copy first.
"""

import gc
import os
import sys

from cell import job, python
from cell.pages import written_by
from cell.wire import STATUS_FD, frame

_TIMES = 12  # CPython 3.11 specialises code that has been run eight times
_LIMITS = (-1,) * 5
_JOB = frame((True, "/dev/null", b"print(1)\n", ["python3", "main.py"], None, {}, [], _LIMITS))


def rehearse():
    """Run the program as cells would, with all that it writes thrown away, and leave no trace but memory.

    Returns the ranges of memory, each an address and a size, that a cell writes to when it runs it.
    """
    saved = [os.dup(fd) for fd in range(STATUS_FD + 1)]
    main, argv, orig_argv, first = sys.modules["__main__"], sys.argv[:], sys.orig_argv[:], sys.path[0]
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (1, 2):
        os.dup2(null, fd)
    for _ in range(_TIMES):
        _put_job(null)
        _run_job()
        sys.modules["__main__"] = main
    gc.collect()
    gc.freeze()
    _put_job(null)
    written = written_by(_run_job)
    sys.argv[:], sys.orig_argv[:], sys.path[0] = argv, orig_argv, first
    for fd, copy in enumerate(saved):
        os.dup2(copy, fd)
        os.close(copy)
    os.close(null)
    return written


def _put_job(null):
    job_r, job_w = os.pipe()
    os.write(job_w, _JOB)
    os.dup2(job_r, 0)
    os.close(job_w)
    os.close(job_r)
    os.dup2(null, STATUS_FD)  # which `receive` closes


def _run_job():
    work = job.receive()
    code = python.compile_main(work)
    job.prepare_interpreter(work)
    exec(code, python.make_main(work))
    python.finish()
