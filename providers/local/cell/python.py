"""Running a program in this interpreter as `python3 main.py` would, up to its last word.

CPython frees every object at its end, which after a fork copies every page of the zygote (milliseconds). Here a program's end
does only what it can notice: threads are joined, atexit functions called, its own modules dropped, streams flushed.
"""

import _weakref
import atexit
import builtins
import ctypes
import gc
import os
import sys
import types
from importlib.machinery import SourceFileLoader

ENTRY_NAME = "<sandql>"  # what the code of this interpreter's main file is called
_SIGINT = 2
_modules_before = 0
_builtins_before = {}
_SHUTDOWN = "on threading shutdown"  # where CPython 3.12 and newer meet an error that the exit code left behind


def _find_recursion_counter():
    """The integer in which CPython 3.12 and newer count how many Python frames this thread may still make, which no function changes alone."""
    pythonapi = ctypes.pythonapi
    pythonapi.PyThreadState_Get.restype = ctypes.c_void_p
    state = pythonapi.PyThreadState_Get()
    integers = (ctypes.c_int * 64).from_address(state)
    limit = sys.getrecursionlimit()
    for at in range(6, 63):
        if integers[at + 1] == limit and 0 < limit - integers[at] < 64:
            return ctypes.c_int.from_address(state + 4 * at)
    return None


# Looked up before any cell is made.
_leave_recursive_call = ctypes.pythonapi.Py_LeaveRecursiveCall
_recursion_left = _find_recursion_counter() if sys.version_info >= (3, 12) else None


def remember_modules():
    """Note, in a zygote, which modules every program finds imported: those that come later are the program's own."""
    global _modules_before
    _modules_before = len(sys.modules) - 1  # without __main__, which each program has of its own
    _builtins_before.update(builtins.__dict__)


def compile_main(job):
    """Compile the program; when that fails, become an ordinary interpreter, whose messages are the real ones."""
    try:
        if not job.code.isascii() and b"coding" not in b"".join(job.code.split(b"\n", 2)[:2]):
            job.code.decode()  # CPython refuses a file that is not UTF-8 even in a comment; compile() does not look there
        return compile(job.code, "/workspace/" + job.file_name, "exec", dont_inherit=True)
    except KeyboardInterrupt:
        raise
    except BaseException:  # SyntaxError, ValueError, RecursionError, MemoryError: whatever it is
        os.execv(sys.executable, job.argv)


def forget_frames():
    """Give back the depth of recursion that the frame below the program, and before CPython 3.12 `exec`, too, take."""
    if sys.version_info < (3, 12):
        _leave_recursive_call()
        _leave_recursive_call()
    elif _recursion_left is not None:
        _recursion_left.value += 1


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
    if hasattr(sys, "excepthook"):
        hook = sys.excepthook
    else:
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
    try:
        written = finish()
    except KeyboardInterrupt:  # CPython takes none any more by then
        written = _flush()
    if not written:
        os._exit(120)
    if status is None:
        end_by_interrupt()
    else:
        os._exit(status & 0xFF)


def end_by_interrupt():
    """End this process by SIGINT, without a word."""
    import _signal

    _signal.signal(_SIGINT, _signal.SIG_DFL)
    os.kill(os.getpid(), _SIGINT)


def finish(*, for_good=True):
    """All of `leave` but the exit; False where what was printed could not be written.

    What happens once in the life of an interpreter happens only `for_good`: site-packages may have imported `threading`, and registered functions.
    """
    _flush_quietly()
    if for_good:
        _run_exit_functions()
    written = _flush()
    _drop_modules()
    _flush_quietly()
    return written


def _run_exit_functions():
    threading = sys.modules.get("threading")
    if threading is not None:
        try:
            threading._shutdown()
        except BaseException as error:
            _unraisable(error, threading, _SHUTDOWN)
    if (3, 12) <= sys.version_info < (3, 13) and atexit._ncallbacks():
        _refuse_threads()
    atexit._run_exitfuncs()


def _own_trace(error):
    """The traceback without the frame below the program, which some versions of CPython leave out by themselves."""
    trace = error.__traceback__
    return trace.tb_next if trace is not None and trace.tb_frame.f_code.co_filename == ENTRY_NAME else trace


def _refuse_threads():
    """Let no thread be started any more, as CPython 3.12 does when it calls atexit functions."""

    def refuse(*_arguments, **_options):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    for module in ("_thread", "threading"):
        space = sys.modules[module].__dict__ if module in sys.modules else {}
        for name in ("start_new_thread", "start_new", "_start_new_thread"):
            if name in space:
                space[name] = refuse


def _unraisable(error, source, doing):
    """Say what could not be raised, as the interpreter does: by the program's hook, without this file's frame.

    CPython 3.13 and newer name what they were `doing`, those before it the object that was the `source`.
    """
    hook, seen = getattr(sys, "unraisablehook", None), []
    sys.unraisablehook = seen.append
    _Unraisable()  # the hook's argument is of a type without a name: one that the interpreter makes is the only way to it
    sys.unraisablehook = hook
    of_hook = type(seen.pop())  # kept, it would hold the frames that are here now, and what they know
    trace = error.__traceback__ and error.__traceback__.tb_next
    error.__traceback__ = trace
    if hook is not None:
        said, source = (f"Exception ignored {doing}", None) if sys.version_info >= (3, 13) else (None, source)
        hook(of_hook((type(error), error, trace, said, source)))


class _Unraisable:
    def __del__(self):
        raise ValueError


def _exit_code(error):
    code = error.code
    if code is None:
        return 0
    left = None
    if isinstance(code, int):
        if -(1 << 63) <= code < 1 << 63:
            return code
        left = OverflowError("Python int too large to convert to C long")
    else:
        try:
            sys.stderr.write(str(code))
        except BaseException as second:
            left = second
        sys.stderr.write("\n")
    if left is not None and sys.version_info >= (3, 12):
        _unraisable(left, None, _SHUTDOWN)
    return -1 if isinstance(code, int) else 1


def _drop_modules():
    """Let go of the modules that came with the program, as finalization does, so that `__del__` methods run and files are flushed.

    The order is the interpreter's: modules go in the order of their import, what only they held dies with them or in the
    collection that follows, with its globals still there; only modules that something keeps alive are emptied, last first.
    """
    if hasattr(sys, "last_type"):
        for name in ("last_exc", "last_type", "last_value", "last_traceback"):
            setattr(sys, name, None)
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__
    # A collection while all is alive puts what holds before what is held, and so a text file before its buffer, which the next one
    # finalizes in that order: in the order of their making the buffer would be closed first and the text be lost.
    young = sys.version_info < (3, 14) and not any(gc.get_count()[1:])
    gc.collect(0 if young else 2)
    modules = []  # taken from the end: to walk over all of them would copy every page that they lie on
    while len(sys.modules) > _modules_before or "__main__" in sys.modules:
        modules.append(sys.modules.popitem()[1])
    kept = []
    while modules:
        module = modules.pop()
        if isinstance(module, types.ModuleType):  # a program may put anything there: typing puts classes
            kept.append(_weakref.ref(module))
        del module
    generation = 1 if young else 2  # a full collection also empties free lists, for no use
    gc.collect(generation)
    if len(builtins.__dict__) != len(_builtins_before):
        added = dict(builtins.__dict__)
        builtins.__dict__.clear()
        builtins.__dict__.update(_builtins_before)
        added.clear()  # only now, when what dies of it finds all builtins again
        gc.collect(generation)
    left = [module for module in [reference() for reference in reversed(kept)] if module is not None]
    if left:
        shared = {id(module) for module in sys.modules.values()}  # known by a second name: not the program's
        for module in left:
            if id(module) not in shared:
                _empty(module.__dict__)


def _empty(space):
    """Set a module's names to None: first those of one underscore, then the others."""
    names = [name for name in space if name != "__builtins__"]
    private = [name for name in names if name[:1] == "_" and name[1:2] != "_"]
    for name in private + names:
        space[name] = None


def _flush():
    """Flush both streams; False when stdout could not be, which is said as CPython says it."""
    fine = True
    out = getattr(sys, "stdout", None)
    if out is not None and not getattr(out, "closed", False):
        try:
            out.flush()
        except BaseException as error:
            fine = False
            _unraisable(error, out, "on flushing sys.stdout")
    err = getattr(sys, "stderr", None)
    if err is not None and not getattr(err, "closed", False):
        try:
            err.flush()
        except BaseException:
            fine = False
    return fine


def _flush_quietly():
    for name in ("stderr", "stdout"):
        try:
            getattr(sys, name).flush()
        except BaseException:
            continue
