"""How a run ended, judged from what the zygote saw of it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from sandql.core.values import Limits, MiB, Outcome, Problem


@dataclass(frozen=True, slots=True)
class End:
    """What the zygote reports: a wait status, CPU seconds, peak KiB, who ended it (or None), and whether memory ran out."""

    wait_status: int
    user_s: float
    system_s: float
    peak_memory_kib: int
    cause: str | None
    out_of_memory: bool

    @property
    def cpu_ms(self) -> int:
        """CPU time of the program and of what it waited for, in milliseconds."""
        return round((self.user_s + self.system_s) * 1000)


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome with its exit code, or the name of the signal, or the problem that made the house end it."""

    outcome: Outcome
    exit_code: int | None = None
    signal: str | None = None
    problem: Problem | None = None


LOST = Verdict(Outcome.SANDBOX_LOST, problem=Problem("SANDBOX_LOST", "the sandbox was lost while the program ran; run it again"))


def judge(end: End, limits: Limits, stderr_tail: bytes) -> Verdict:
    """The verdict on a run whose first program has ended."""
    name, code = _signal_and_code(end.wait_status)
    if end.cause is not None:
        return Verdict(Outcome(_outcome_of(end.cause)), None, name, _problem(end.cause, limits))
    if end.out_of_memory:
        return Verdict(Outcome.OUT_OF_MEMORY, None, name, _problem("OUT_OF_MEMORY", limits))
    if name in ("SIGXCPU", "SIGKILL") and end.cpu_ms >= limits.cpu_ms * 0.9 and end.cpu_ms >= 900:
        return Verdict(Outcome.TIMED_OUT, None, name, _problem("CPU", limits))
    if name is not None:
        return Verdict(Outcome.KILLED, None, name, Problem("KILLED", f"the program was ended by {name}"))
    if code == 1 and stderr_tail.rstrip().rsplit(b"\n", 1)[-1].startswith(b"MemoryError"):
        return Verdict(Outcome.OUT_OF_MEMORY, code, None, _problem("OUT_OF_MEMORY", limits))
    return Verdict(Outcome.COMPLETED if code == 0 else Outcome.FAILED, code)


def _signal_and_code(status: int) -> tuple[str | None, int | None]:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return signal.Signals(number).name, None
        except ValueError:
            return f"SIG{number}", None
    return None, os.waitstatus_to_exitcode(status)


def _outcome_of(cause: str) -> str:
    if cause in ("CPU", "DESTROYED"):
        return "TIMED_OUT" if cause == "CPU" else "CANCELLED"
    return "KILLED" if cause in ("WORKSPACE_BYTES", "WORKSPACE_INODES", "STORAGE") else cause


def _problem(cause: str, limits: Limits) -> Problem:
    messages = {
        "TIMED_OUT": f"the program ran longer than its {limits.wall_ms} ms; ask for a longer timeout, or do less",
        "CPU": f"the program used more than its {limits.cpu_ms} ms of CPU time",
        "OUT_OF_MEMORY": f"the program needed more than its {limits.memory_bytes // MiB} MiB of memory",
        "OUTPUT_LIMIT": f"the program wrote more than {limits.output_hard_bytes} bytes of output",
        "CANCELLED": "the run was cancelled",
        "DESTROYED": "the sandbox was destroyed while the program ran",
        "SANDBOX_LOST": "the sandbox was lost while the program ran; run it again",
        "WORKSPACE_BYTES": f"the workspace grew over its {limits.workspace_bytes} bytes",
        "WORKSPACE_INODES": f"the workspace grew over its {limits.workspace_inodes} files and folders",
        "STORAGE": "quota maxStorageMB: the program wrote more than may be kept in all sandboxes of yours together; remove files or a sandbox",
    }
    code = "RESOURCE_ERROR" if cause.startswith("WORKSPACE") else "QUOTA_EXCEEDED" if cause == "STORAGE" else _outcome_of(cause)
    return Problem(code, messages[cause])
