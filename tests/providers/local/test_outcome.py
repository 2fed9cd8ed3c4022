"""What a wait status, a cause and a last word are judged to be."""

from __future__ import annotations

import pytest

from sandql.core.values import Limits, MiB, Outcome
from sandql.providers.local.outcome import End, judge

pytestmark = pytest.mark.unit

_LIMITS = Limits(wall_ms=5000, cpu_ms=2000, memory_bytes=64 * MiB, output_hard_bytes=1000, workspace_bytes=2000, workspace_inodes=30)


def _exit(code: int) -> int:
    return code << 8


def _end(status: int = 0, cpu_s: float = 0.1, cause: str | None = None, out_of_memory: bool = False) -> End:
    return End(status, cpu_s / 2, cpu_s / 2, 5000, cause, out_of_memory)


@pytest.mark.parametrize(
    ("end", "stderr", "outcome", "exit_code", "signal", "code", "says"),
    [
        (_end(), b"", Outcome.COMPLETED, 0, None, None, ""),
        (_end(_exit(1)), b"", Outcome.FAILED, 1, None, None, ""),
        (_end(_exit(255)), b"MemoryError", Outcome.FAILED, 255, None, None, ""),
        (_end(_exit(1)), b"Traceback:\nMemoryError\n", Outcome.OUT_OF_MEMORY, 1, None, "OUT_OF_MEMORY", "64 MiB"),
        (_end(_exit(1)), b"MemoryError\nValueError: x\n", Outcome.FAILED, 1, None, None, ""),
        (_end(_exit(0)), b"MemoryError\n", Outcome.COMPLETED, 0, None, None, ""),
        (_end(9), b"", Outcome.KILLED, None, "SIGKILL", "KILLED", "SIGKILL"),
        (_end(11), b"", Outcome.KILLED, None, "SIGSEGV", "KILLED", "SIGSEGV"),
        (_end(11 | 0x80), b"", Outcome.KILLED, None, "SIGSEGV", "KILLED", "SIGSEGV"),
        (_end(40), b"", Outcome.KILLED, None, "SIG40", "KILLED", "SIG40"),
        (_end(9, out_of_memory=True), b"", Outcome.OUT_OF_MEMORY, None, "SIGKILL", "OUT_OF_MEMORY", "64 MiB"),
        (_end(9, cpu_s=2.0), b"", Outcome.TIMED_OUT, None, "SIGKILL", "TIMED_OUT", "2000 ms of CPU"),
        (_end(24, cpu_s=1.95), b"", Outcome.TIMED_OUT, None, "SIGXCPU", "TIMED_OUT", "2000 ms of CPU"),
        (_end(24, cpu_s=0.1), b"", Outcome.KILLED, None, "SIGXCPU", "KILLED", "SIGXCPU"),
        (_end(9, cause="TIMED_OUT"), b"", Outcome.TIMED_OUT, None, "SIGKILL", "TIMED_OUT", "5000 ms"),
        (_end(9, cause="OUTPUT_LIMIT"), b"", Outcome.OUTPUT_LIMIT, None, "SIGKILL", "OUTPUT_LIMIT", "1000 bytes"),
        (_end(9, cause="CANCELLED"), b"", Outcome.CANCELLED, None, "SIGKILL", "CANCELLED", "cancelled"),
        (_end(9, cause="OUT_OF_MEMORY"), b"", Outcome.OUT_OF_MEMORY, None, "SIGKILL", "OUT_OF_MEMORY", "64 MiB"),
        (_end(9, cause="WORKSPACE_BYTES"), b"", Outcome.KILLED, None, "SIGKILL", "RESOURCE_ERROR", "2000 bytes"),
        (_end(9, cause="WORKSPACE_INODES"), b"", Outcome.KILLED, None, "SIGKILL", "RESOURCE_ERROR", "30 files"),
        # Who was about to be ended ended by itself in the same moment: the house's word counts.
        (_end(_exit(0), cause="TIMED_OUT"), b"", Outcome.TIMED_OUT, None, None, "TIMED_OUT", "5000 ms"),
    ],
)
def test_judge(end: End, stderr: bytes, outcome: Outcome, exit_code: int | None, signal: str | None, code: str | None, says: str) -> None:
    verdict = judge(end, _LIMITS, stderr)
    assert (verdict.outcome, verdict.exit_code, verdict.signal) == (outcome, exit_code, signal)
    assert (verdict.problem.code if verdict.problem else None) == code
    assert says in (verdict.problem.message if verdict.problem else "")


def test_cpu_time_is_that_of_user_and_system() -> None:
    assert End(0, 0.25, 0.5, 0, None, False).cpu_ms == 750
