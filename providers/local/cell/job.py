"""What a parked cell does with its job: put files in, compile, and start the program."""

import os
import sys
import time

from cell import linux
from cell.confine import set_limits
from cell.wire import STATUS_FD, frame, read_frame

_COMPILE_OUTPUT = "/tmp/.compile-output"
_MAX_COMPILE_OUTPUT = 64 * 1024
_COMPILE_FAILED = 1


class Job:
    """One run, as the server sent it."""

    __slots__ = ("argv", "code", "compile_argv", "env", "file_name", "files", "in_place", "limits", "terminal")

    def __init__(self, message):
        (self.in_place, self.file_name, self.code, self.argv, self.compile_argv, self.env, self.files, self.limits, self.terminal) = message


def receive():
    """Wait for the job on standard input; what follows it there is the program's own input.

    Returns the job when it is to run in this interpreter. Otherwise this process becomes the program, and this never returns.
    """
    message = read_frame(0)
    if message is None:
        os._exit(0)  # the server is gone or has no use for this cell
    job = Job(message)
    set_limits(*job.limits)
    for path, content in job.files:
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        _put(path, content)
    if job.file_name is not None:
        _put(job.file_name, job.code)
    if job.env:
        os.environ.update(job.env)
    if job.compile_argv:
        _compile(job)
    os.close(STATUS_FD)
    if job.terminal is not None:
        _take_terminal(job.terminal)
    if not job.in_place:
        _execute(job.argv)
    return job


def _take_terminal(number):
    """Make a terminal of this cell the controlling one, which the leader of a session does by opening it, and all three standard streams."""
    fd = os.open(f"/dev/pts/{number}", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(fd, standard)
    os.close(fd)


def _execute(argv):
    for number in range(1, 65):  # what this interpreter ignores (SIGPIPE, SIGXFSZ), a program must find at its default
        if number in (13, 25):
            _default_signal(number)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, (f"{argv[0]}: {error.strerror}\n").encode())
        os._exit(127)


def _default_signal(number):
    import _signal

    _signal.signal(number, _signal.SIG_DFL)


def _put(path, content):
    """Write a file into the workspace. A name that the workspace leads elsewhere by a link only reaches what this cell may write."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    written = os.write(fd, content)
    while written < len(content):
        written += os.write(fd, content[written : written + (1 << 20)])
    os.close(fd)


def _compile(job):
    """Run the compiler, report on the status pipe, and end this process when it failed.

    Until the compiler has ended nobody can take the status pipe out of this process: it is not dumpable.
    """
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(STATUS_FD)
        null = os.open("/dev/null", os.O_RDONLY)
        output = os.open(_COMPILE_OUTPUT, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        for fd, standard in ((null, 0), (output, 1), (output, 2)):
            os.dup2(fd, standard)
        _execute(job.compile_argv)
    status = os.waitpid(pid, 0)[1]
    wall_ms = round((time.monotonic() - began) * 1000)
    with open(_COMPILE_OUTPUT, "rb") as file:
        output = file.read(_MAX_COMPILE_OUTPUT)
    os.unlink(_COMPILE_OUTPUT)
    os.write(STATUS_FD, frame(("compiled", status == 0, output, wall_ms)))
    if status:
        os.write(2, output)
        os._exit(_COMPILE_FAILED)


def prepare_interpreter(job):
    """Make this interpreter look as if it had been started for the program."""
    sys.argv[:] = job.argv[1:]
    sys.orig_argv[:] = job.argv
    sys.path[0] = "/workspace"
