"""The values that rooms hand to each other. All are frozen; units are in the names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from sandql.core.permissions import EVERYTHING, Permissions

KiB = 1024
MiB = 1024 * KiB
GiB = 1024 * MiB

HOME = "home"  # the sandbox id that means "my own home", on every door


class Outcome(StrEnum):
    """How a run ended."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    OUTPUT_LIMIT = "OUTPUT_LIMIT"
    KILLED = "KILLED"
    CANCELLED = "CANCELLED"
    SANDBOX_LOST = "SANDBOX_LOST"


class Stream(StrEnum):
    """Which of a program's two outputs."""

    STDOUT = "STDOUT"
    STDERR = "STDERR"


class Signal(StrEnum):
    """What a caller may send to a program that runs."""

    HUP = "HUP"
    INT = "INT"
    QUIT = "QUIT"
    KILL = "KILL"
    USR1 = "USR1"
    USR2 = "USR2"
    TERM = "TERM"
    CONT = "CONT"
    STOP = "STOP"


class FileType(StrEnum):
    """What a name in a workspace is."""

    FILE = "FILE"
    DIRECTORY = "DIRECTORY"
    SYMLINK = "SYMLINK"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use. `output_bytes` is kept of each stream; past `output_hard_bytes` in all the run ends."""

    wall_ms: int = 30_000
    cpu_ms: int = 30_000
    memory_bytes: int = 512 * MiB
    processes: int = 64
    open_files: int = 256
    workspace_bytes: int = 256 * MiB
    workspace_inodes: int = 65_536
    output_bytes: int = 1 * MiB
    output_hard_bytes: int = 64 * MiB


@dataclass(frozen=True, slots=True)
class Isolation:
    """What really stands between a run and the host.

    `level` is "full" when every layer of the provider's design is there, else "reduced"; `landlock` is the
    kernel's ABI number, 0 where there is none; `cgroup` is "v2", "v1" or "none"; `network` is "loopback" or "none".
    """

    level: str
    namespaces: tuple[str, ...]
    seccomp: bool
    landlock: int
    cgroup: str
    network: str


@dataclass(frozen=True, slots=True)
class Language:
    """A language that a provider runs. `version` is what the runtime says of itself."""

    name: str
    aliases: tuple[str, ...]
    version: str
    compiled: bool = False


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file put into the workspace before the run. `path` is relative to the workspace."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run, checked: every field is within its bound. `language` is a canonical name, not an alias.

    With `command` that is run, and there is no code; `language` is then "command". With `interactive`, standard input stays open after
    `stdin` for what is sent later.
    """

    language: str
    code: bytes
    stdin: bytes = b""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    files: tuple[InputFile, ...] = ()
    limits: Limits = field(default_factory=Limits)
    artifacts: tuple[str, ...] = ()  # workspace-relative paths or globs to bring back
    id: str = ""  # the execution's; one is made where it is empty
    command: tuple[str, ...] = ()
    interactive: bool = False


@dataclass(frozen=True, slots=True)
class FileContent:
    """A regular file brought out of a workspace."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class FilePart:
    """What was read of a file: some bytes from `offset` on; `file_size` is how many it has in all."""

    content: FileContent
    offset: int
    file_size: int


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A name in a workspace. `path` is relative to the workspace; `modified_at` is a Unix time in seconds, `mode` permission bits."""

    name: str
    path: str
    type: FileType
    size: int
    modified_at: float
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the house ended a run: a code of `Outcome` or of the error tree, and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Compilation:
    """The compile step of a compiled language, apart from the run. Times are milliseconds."""

    success: bool
    output: bytes
    wall_ms: int


@dataclass(frozen=True, slots=True)
class RichResult:
    """A value that code in a context showed, in one representation; `index` says which value. `data` is text, or BASE64 of bytes."""

    index: int
    mime_type: str
    data: str
    encoding: str


@dataclass(frozen=True, slots=True)
class ExecutionException:
    """An exception that code in a context did not catch."""

    name: str
    value: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Execution:
    """A run that has ended. Times are milliseconds, memory is KiB.

    `stdout` and `stderr` hold at most `Limits.output_bytes` each; `truncated` says that there was more.
    """

    id: str
    outcome: Outcome
    exit_code: int | None
    signal: str | None
    stdout: bytes
    stderr: bytes
    truncated: bool
    wall_ms: int
    cpu_ms: int
    peak_memory_kib: int
    provider: str
    language: str
    sandbox_id: str | None
    isolation: Isolation
    artifacts: tuple[FileContent, ...] = ()
    problem: Problem | None = None
    compilation: Compilation | None = None
    results: tuple[RichResult, ...] = ()
    exception: ExecutionException | None = None

    @property
    def success(self) -> bool:
        """Whether the program ended by itself with exit code 0."""
        return self.outcome is Outcome.COMPLETED


@dataclass(frozen=True, slots=True)
class Started:
    """The first event of a run."""

    seq: int
    execution_id: str


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes that the program wrote, in the order in which they were read."""

    seq: int
    stream: Stream
    data: bytes


@dataclass(frozen=True, slots=True)
class Completed:
    """The last event of a run. Its execution's stdout and stderr are what was kept, as for a run without a stream."""

    seq: int
    execution: Execution


Event = Started | Output | Completed


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. `subject` names the owner of what is made; it is never shown to a run.

    `plan` chooses rate limits and quotas. `credential` names what proved who it is, never the proof itself; after `expires_at`, a Unix time
    in seconds, it proves nothing more. `address` is where the request came from. `acting` is the subject of an administrator who acts as
    `subject`, else None.
    """

    subject: str = "local"
    role: str = "admin"
    plan: str = "unlimited"
    tenant: str | None = None
    permissions: Permissions = EVERYTHING
    credential: str = "local"
    expires_at: float | None = None
    address: str | None = None
    acting: str | None = None
