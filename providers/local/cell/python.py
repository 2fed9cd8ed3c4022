"""Running a program in this interpreter as `python3 main.py` would, up to its last word.

CPython frees every object at its end, which after a fork copies every page of the zygote (milliseconds). Here a program's end
does only what it can notice: threads are joined, atexit functions called, its own modules dropped, streams flushed.
"""

import atexit
import ctypes
import gc
import os
import sys
import types
from importlib.machinery import SourceFileLoader

ENTRY_NAME = "<sandql>"  # what the code of this interpreter's main file is called
_SIGINT = 2
_modules_before = 0


def remember_modules():
    """Note, in a zygote, which modules every program finds imported: those that come later are the program's own."""
    global _modules_before
    _modules_before = len(sys.modules) - 1  # without __main__, which each program has of its own


def compile_main(job):
    """Compile the program; when that fails, become an ordinary interpreter, whose messages are the real ones."""
    try:
        return compile(job.code, "/workspace/" + job.file_name, "exec", dont_inherit=True)
    except BaseException:  # SyntaxError, ValueError, RecursionError, MemoryError: whatever it is
        os.execv(sys.executable, job.argv)


def forget_frames():
    """Give back the depth of recursion that the frame below the program and `exec` take, where the C API can."""
    if sys.version_info < (3, 12):
        ctypes.pythonapi.Py_LeaveRecursiveCall()
        ctypes.pythonapi.Py_LeaveRecursiveCall()


def make_main(job):
    """The namespace of a new `__main__`, as CPython makes it for a file."""
    path = "/workspace/" + job.file_name
    module = types.ModuleType("__main__")
    space = module.__dict__
    space["__builtins__"] = sys.modules["builtins"]
    space["__loader__"] = SourceFileLoader("__main__", path)
    space["__file__"] = path
    space["__cached__"] = None
    if sys.version_info < (3, 14):
        space["__annotations__"] = {}
    del sys.modules["__main__"]
    sys.modules["__main__"] = module  # the last one, so that it is dropped with what the program imports
    return space


def report(error):
    """What CPython says of an exception that nobody caught; returns the exit code, or None to end by SIGINT."""
    _flush_quietly()
    if isinstance(error, SystemExit):
        return _exit_code(error)
    trace = error.__traceback__ = _own_trace(error)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    hook = getattr(sys, "excepthook", None)
    if hook is None:
        sys.stderr.write("sys.excepthook is missing\n")
        hook = sys.__excepthook__
    try:
        hook(type(error), error, trace)
    except SystemExit as second:
        return _exit_code(second)
    except BaseException as second:
        second.__traceback__ = second.__traceback__ and second.__traceback__.tb_next
        second.__context__ = None
        sys.stderr.write("Error in sys.excepthook:\n")
        sys.__excepthook__(type(second), second, second.__traceback__)
        sys.stderr.write("\nOriginal exception was:\n")
        sys.__excepthook__(type(error), error, trace)
    return None if isinstance(error, KeyboardInterrupt) else 1


def leave(status):
    """End the program: wait for its threads, run its atexit functions, drop what it made, flush, and exit."""
    _flush_quietly()
    threading = sys.modules.get("threading")
    if threading is not None:
        try:
            threading._shutdown()
        except BaseException as error:
            _unraisable(error, error.__traceback__, "Exception ignored on threading shutdown", threading)
    atexit._run_exitfuncs()
    if not _flush():
        os._exit(120)
    _drop_modules()
    _flush_quietly()
    if status is None:
        import _signal

        _signal.signal(_SIGINT, _signal.SIG_DFL)
        os.kill(os.getpid(), _SIGINT)
    else:
        os._exit(status & 0xFF)


def _own_trace(error):
    """The traceback without the frame below the program, which some versions of CPython leave out by themselves."""
    trace = error.__traceback__
    return trace.tb_next if trace is not None and trace.tb_frame.f_code.co_filename == ENTRY_NAME else trace


def _unraisable(error, trace, message, source):
    args = types.SimpleNamespace(exc_type=type(error), exc_value=error, exc_traceback=trace, err_msg=message, object=source)
    sys.unraisablehook(args)  # pyright: ignore[reportArgumentType]  (the real type cannot be made from Python)


def _exit_code(error):
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code if -(1 << 63) <= code < 1 << 63 else -1
    try:
        sys.stderr.write(str(code))
    except BaseException:
        pass
    sys.stderr.write("\n")
    return 1


def _drop_modules():
    """Let go of the modules that came with the program, as finalization does, so that `__del__` methods run and files are flushed."""
    if hasattr(sys, "last_type"):
        for name in ("last_exc", "last_type", "last_value", "last_traceback"):
            setattr(sys, name, None)
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__
    spaces = []
    while len(sys.modules) > _modules_before:
        _, module = sys.modules.popitem()
        if isinstance(module, types.ModuleType):  # a program may put anything there: typing puts classes
            spaces.append(module.__dict__)
        del module
    # What is new is still in the youngest generation unless there was a collection. A full one also empties free lists, for no use.
    gc.collect(0 if sys.version_info < (3, 14) and not any(gc.get_count()[1:]) else 2)
    # What is also known by an older name is not the program's. Looking at all modules touches their pages: not for `__main__` alone.
    shared = {id(getattr(module, "__dict__", None)) for module in sys.modules.values()} if len(spaces) > 1 else ()
    for space in [space for space in spaces if id(space) not in shared]:
        names = [name for name in space if name != "__builtins__"]
        for name in [name for name in names if name.startswith("_")] + names:
            space[name] = None


def _flush():
    """Flush both streams; False when stdout could not be, which is said as CPython says it."""
    fine = True
    out = sys.stdout
    if out is not None and not getattr(out, "closed", False):
        try:
            out.flush()
        except BaseException as error:
            fine = False
            _unraisable(error, None, None, out)
    err = sys.stderr
    if err is not None and not getattr(err, "closed", False):
        try:
            err.flush()
        except BaseException:
            fine = False
    return fine


def _flush_quietly():
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
        except BaseException:
            continue
