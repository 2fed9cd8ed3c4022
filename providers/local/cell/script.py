"""A list of system calls that is laid out once and run in one go.

Making a cell takes some hundred calls. Made one by one from Python, each touches objects, and after a fork each touched page is
copied first: that costs more than the calls themselves. Here they lie in memory as numbers, and a loop of machine code makes them.
Where there is no such loop for the machine, Python makes the same calls.
"""

import ctypes
import errno
import os

from cell import linux
from cell.steps import AT_FDCWD, JUMPS, MARK, OPENS, PLAIN, ROOM_AT, ROOM_BYTES, STEP_BYTES, STEP_WORDS, TARGET, USES_OPENED, WORD, step

_ARENA = 64 * 1024  # bytes for a script and all that its steps point to
_UNSIGNED = 0xFFFFFFFFFFFFFFFF

# loop(table, steps) -> steps made; a step that failed has its negative error number in the place of its mark.
#   push rbx; push rbp; push r12; push r13; push r14; mov rbx,rdi; mov r14,rdi; mov rbp,rsi; xor r13d,r13d; xor r12d,r12d
#   1: cmp r12,rbp; je 5; mov rax,[rbx]; mov rdi,[rbx+8]; cmp qword [rbx+56],1; cmove rdi,r13; mov rsi,[rbx+16]; mov rdx,[rbx+24]
#   mov r10,[rbx+32]; mov r8,[rbx+40]; mov r9,[rbx+48]; syscall; cmp qword [rbx+56],3; jne 2; test rax,rax; je 3; jns 6
#   mov rcx,[rbx+24]; mov [rcx],rax; 6: mov r12,[rbx+48]; mov rbx,r12; shl rbx,6; add rbx,r14; jmp 1
#   2: test rax,rax; js 4; cmp qword [rbx+56],2; cmove r13,rax; 3: add rbx,64; inc r12; jmp 1
#   4: mov [rbx+56],rax; 5: mov rax,r12; pop r14; pop r13; pop r12; pop rbp; pop rbx; ret
_LOOP_X86_64 = bytes.fromhex(
    "53554154415541564889fb4989fe4889f54531ed4531e44939ec7466488b03488b7b0848837b3801490f44fd488b7310488b53184c8b53204c8b43284c8b4b30"
    "0f0548837b3803751e4885c074277907488b4b184889014c8b63304c89e348c1e3064c01f3ebb04885c0781248837b38024c0f44e84883c34049ffc4eb994889"
    "43384c89e0415e415d415c5d5bc3"
)
# The same without a caller: call loop; mov edi,125; mov eax,231 (exit_group); syscall
_ALONE_X86_64 = bytes.fromhex("e80c000000 bf7d000000 b8e7000000 0f05") + _LOOP_X86_64


class StepFailed(OSError):
    """A call of a script failed; `step` is its number."""

    def __init__(self, number, name, step):
        super().__init__(number, f"{name}: {os.strerror(number)}")
        self.step = step


class Script:
    """System calls to be made in a row. Add all steps, then `run` it, in a child, as often as there are children.

    With `room` there is a place behind its steps, at ROOM_AT, for further ones that are written while it runs.
    """

    def __init__(self, room=False, machine=None):
        self._machine = machine or os.uname().machine
        self._steps = []
        self._names = []
        self._room = ROOM_BYTES if room else 0
        self._start = self._free = linux.map_memory(_ARENA + self._room, ROOM_AT - _ARENA if room else None)
        self._table = (ctypes.c_uint64 * 0)()

    def __len__(self):
        return len(self._steps)

    def put(self, data, size=None):
        """Lay bytes out among what the steps point to, in `size` bytes of memory if that is given; returns their address."""
        address = self._free
        self._free += -(-(size or len(data)) // WORD) * WORD
        ctypes.memmove(address, data, len(data))
        return address

    def add(self, name, *arguments, opens=False, uses_opened=False, jumps_to=None):
        """Add a call. Arguments are ints, None, or bytes, which are laid out and end in a zero. Returns its number.

        With `jumps_to` the step of that number comes next unless the call returns 0. What it returns in case of an error is then written
        to where its third argument points, eight bytes.
        """
        mark = OPENS if opens else USES_OPENED if uses_opened else PLAIN
        words = step(name, *[self._word(argument) for argument in arguments], machine=self._machine, mark=mark)
        if jumps_to is not None:
            words[TARGET:] = [jumps_to, JUMPS]
        self._steps.append(words)
        self._names.append(name)
        return len(self._steps) - 1

    def add_write(self, path, data):
        """Add the calls that write `data`, bytes or an address and a size, to the file at `path`."""
        content, size = data if isinstance(data, tuple) else (data, len(data))
        self.add("openat", AT_FDCWD, path, os.O_WRONLY | os.O_CLOEXEC, opens=True)
        self.add("write", 0, content, size, uses_opened=True)
        self.add("close", 0, uses_opened=True)

    def seal(self):
        """Lay the steps out; from now on only what they point to, and what lies at `address`, changes them."""
        words = [word & _UNSIGNED for words in self._steps for word in words]
        start = self._start + _ARENA - len(words) * WORD
        if start < self._free:
            raise MemoryError(f"a script takes at most {_ARENA} bytes")
        self._table = (ctypes.c_uint64 * (len(words) + self._room // WORD)).from_address(start)
        self._table[: len(words)] = words
        self._count = len(self._table) // STEP_WORDS
        if self._machine == "x86_64":
            self._loop = linux.machine_code(_LOOP_X86_64, ctypes.c_long, ctypes.c_void_p, ctypes.c_long)
            self._alone = linux.machine_code(_ALONE_X86_64, None, ctypes.c_void_p, ctypes.c_long)
        else:
            self._loop = self._alone = None

    def point(self, number, argument, address):
        """Set an argument of a step to an address that was not known when it was added; after `seal`."""
        self._table[number * STEP_WORDS + 1 + argument] = address

    def address(self, number, argument):
        """Where an argument of a step lies in memory, eight bytes; after `seal`."""
        return ctypes.addressof(self._table) + STEP_BYTES * number + WORD * (1 + argument)

    def run(self):
        """Make the calls. Raises StepFailed, with the name of the call that failed; those before it stand."""
        done = self._loop(ctypes.addressof(self._table), self._count) if self._loop else self._run_slowly()
        if done < self._count:
            mark = done * STEP_WORDS + MARK
            number = -ctypes.c_int64(self._table[mark]).value
            if done < len(self._steps):
                self._table[mark] = self._steps[done][MARK]
            raise StepFailed(number, self._names[done] if done < len(self._steps) else "the program", done)

    def run_alone(self):
        """Make the calls and end the process, in which by then nothing needs to be left but this script. Never returns."""
        if self._alone:
            self._alone(ctypes.addressof(self._table), self._count)
        self._run_slowly()
        os._exit(125)

    def _run_slowly(self):
        opened = at = 0
        while at < self._count:
            words = self._table[at * STEP_WORDS : (at + 1) * STEP_WORDS]
            if words[MARK] == USES_OPENED:
                words[1] = opened
            try:
                result = linux.syscall(words[0], *[ctypes.c_uint64(word) for word in words[1:MARK]])
            except OSError as error:
                result = -(error.errno or errno.EIO)
            if words[MARK] == JUMPS and result:
                if result < 0:
                    ctypes.c_int64.from_address(words[3]).value = result
                at = words[TARGET]
                continue
            if result < 0:
                self._table[at * STEP_WORDS + MARK] = result & _UNSIGNED
                return at
            if words[MARK] == OPENS:
                opened = result
            at += 1
        return at

    def _word(self, argument):
        if isinstance(argument, bytes):
            return self.put(argument + b"\0")
        return argument or 0
