"""The main program of a zygote's interpreter, and so of its template and of every Python run: in a cell it runs the job.

Run as the interpreter's main file, it does at module level what `python3 main.py` does around a program, so that the only frame
below the program is this one. Names are underscored and few; none of them is in the program's own namespace.
"""

import cell.job as _job
import cell.python as _python
import cell.zygote as _zygote

try:
    _zygote.start()
    _work = _job.receive()
    _code = _python.compile_main(_work)  # what does not compile is run by a new interpreter, which says it best
    _job.prepare_interpreter(_work)
    _namespace = _python.make_main(_work)
    _leave = _python.leave
    _failed = _python.report
    _status = 0
    _python.forget_frames()
except KeyboardInterrupt:  # before there is a program that could be interrupted
    _python.end_by_interrupt()
    raise
del _job, _python, _zygote, _work
try:
    exec(_code, _namespace)
except BaseException as _error:
    _status = _failed(_error)
_namespace = _code = None
_leave(_status)
