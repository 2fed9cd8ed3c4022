"""A list of system calls that is laid out once and run in one go.

Making a cell takes some hundred calls. Made one by one from Python, each touches objects, and after a fork each touched page is
copied first: that costs more than the calls themselves. Here they lie in memory as numbers, and a loop of machine code makes them.
Where there is no such loop for the machine, Python makes the same calls.
"""

import ctypes
import errno
import os

from cell import linux

_MACHINES = ("x86_64", "aarch64")
_NUMBERS = {
    "capset": (126, 91),
    "chdir": (80, 49),
    "clone": (56, 220),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup3": (292, 24),
    "fcntl": (72, 25),
    "landlock_restrict_self": (446, 446),
    "mount": (165, 40),
    "openat": (257, 56),
    "pipe2": (293, 59),
    "prlimit64": (302, 261),
    "prctl": (157, 167),
    "recvmsg": (47, 212),
    "rt_sigprocmask": (14, 135),
    "seccomp": (317, 277),
    "sendmsg": (46, 211),
    "set_robust_list": (273, 99),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setresgid": (119, 149),
    "setresuid": (117, 147),
    "setsid": (112, 157),
    "unshare": (272, 97),
    "write": (1, 64),
}

# One step: the call's number, its six arguments, and a mark. A step that jumps has its target in the place of the sixth.
_STEP_WORDS = 8
_TARGET, _MARK = 6, 7
_PLAIN, _USES_OPENED, _OPENS, _JUMPS = 0, 1, 2, 3  # "opened" is the descriptor that the last step marked _OPENS gave

# (table, steps) -> steps made; a step that failed has its negative error number in the place of its mark.
#   push rbx; push rbp; push r12; push r13; push r14; mov rbx,rdi; mov r14,rdi; mov rbp,rsi; xor r13d,r13d; xor r12d,r12d
#   1: cmp r12,rbp; je 3; mov rax,[rbx]; mov rdi,[rbx+8]; cmp qword [rbx+56],1; cmove rdi,r13; mov rsi,[rbx+16]; mov rdx,[rbx+24]
#   mov r10,[rbx+32]; mov r8,[rbx+40]; mov r9,[rbx+48]; syscall; test rax,rax; js 2; cmp qword [rbx+56],2; cmove r13,rax
#   add rbx,64; inc r12; cmp qword [rbx-8],3; jne 1; test rax,rax; je 1; mov r12,[rbx-16]; mov rbx,r12; shl rbx,6; add rbx,r14; jmp 1
#   2: mov [rbx+56],rax
#   3: mov rax,r12; pop r14; pop r13; pop r12; pop rbp; pop rbx; ret
_LOOP_X86_64 = bytes.fromhex(
    "53554154415541564889fb4989fe4889f54531ed4531e44939ec745b488b03488b7b0848837b3801490f44fd488b7310488b53184c8b53204c8b43284c8b4b30"
    "0f054885c0782c48837b38024c0f44e84883c34049ffc448837bf80375b94885c074b44c8b63f04c89e348c1e3064c01f3eba4488943384c89e0415e415d415c"
    "5d5bc3"
)


class StepFailed(OSError):
    """A call of a script failed; `step` is its number."""

    def __init__(self, number, name, step):
        super().__init__(number, f"{name}: {os.strerror(number)}")
        self.step = step


class Script:
    """System calls to be made in a row. Add all steps, then `run` it, in a child, as often as there are children."""

    def __init__(self, machine=None):
        self._machine = machine or os.uname().machine
        self._column = _MACHINES.index(self._machine)
        self._steps = []
        self._names = []
        self._kept = []  # what the table points to
        self._table = (ctypes.c_uint64 * 0)()
        self._loop = None

    def __len__(self):
        return len(self._steps)

    def add(self, name, *arguments, opens=False, uses_opened=False, jumps_to=None):
        """Add a call. Arguments are ints, bytes, None, or ctypes buffers, which may change until it is run. Returns its number.

        With `jumps_to` the step of that number comes next when the call returns more than 0.
        """
        words = [_NUMBERS[name][self._column]] + [self._word(argument) for argument in arguments]
        words += [0] * (_MARK - len(words)) + [_OPENS if opens else _USES_OPENED if uses_opened else _PLAIN]
        if jumps_to is not None:
            words[_TARGET:] = [jumps_to, _JUMPS]
        self._steps.append(words)
        self._names.append(name)
        return len(self._steps) - 1

    def add_write(self, path, data):
        """Add the calls that write `data`, bytes or a buffer with its length, to the file at `path`."""
        content, size = data if isinstance(data, tuple) else (data, len(data))
        self.add("openat", -100, path, os.O_WRONLY | os.O_CLOEXEC, opens=True)  # -100: AT_FDCWD
        self.add("write", 0, content, size, uses_opened=True)
        self.add("close", 0, uses_opened=True)

    def seal(self):
        """Lay the steps out; from now on only `set` and the buffers change them."""
        words = [word & 0xFFFFFFFFFFFFFFFF for step in self._steps for word in step]
        self._table = (ctypes.c_uint64 * len(words))(*words)
        if self._machine == "x86_64":
            self._loop = linux.machine_code(_LOOP_X86_64, ctypes.c_long, ctypes.c_void_p, ctypes.c_long)

    def jump(self, step, target):
        """Set where a step with `jumps_to` leads, before `seal`."""
        self._steps[step][_TARGET] = target

    def address(self, step, argument):
        """Where an argument of a step lies in memory, eight bytes; after `seal`."""
        return ctypes.addressof(self._table) + 8 * (step * _STEP_WORDS + 1 + argument)

    def run(self):
        """Make the calls. Raises StepFailed, with the name of the call that failed; those before it stand."""
        done = self._loop(ctypes.addressof(self._table), len(self._steps)) if self._loop else self._run_slowly()
        if done < len(self._steps):
            mark = done * _STEP_WORDS + _MARK
            number = -ctypes.c_int64(self._table[mark]).value
            self._table[mark] = self._steps[done][_MARK]
            raise StepFailed(number, self._names[done], done)

    def _run_slowly(self):
        opened = step = 0
        while step < len(self._steps):
            words = self._table[step * _STEP_WORDS : (step + 1) * _STEP_WORDS]
            if words[_MARK] == _USES_OPENED:
                words[1] = opened
            try:
                result = linux.syscall(words[0], *[ctypes.c_uint64(word) for word in words[1:_MARK]])
            except OSError as error:
                self._table[step * _STEP_WORDS + _MARK] = -(error.errno or errno.EIO) & 0xFFFFFFFFFFFFFFFF
                return step
            if words[_MARK] == _OPENS:
                opened = result
            step = words[_TARGET] if words[_MARK] == _JUMPS and result > 0 else step + 1
        return step

    def _word(self, argument):
        if argument is None:
            return 0
        if isinstance(argument, int):
            return argument
        if isinstance(argument, bytes):
            argument = ctypes.create_string_buffer(argument)
        self._kept.append(argument)
        return ctypes.addressof(argument)
