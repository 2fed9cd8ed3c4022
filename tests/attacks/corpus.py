"""Reads the hostile programs: each says in its first comments what it tries and by what it is judged.

`name: value` lines at the head of a program:

    tries, judged by     what, in words
    expect               "outcome in A,B; exit 7; signal SIGKILL; stdout has TEXT"; without it: COMPLETED, and its last line is CONTAINED
    limits               wall_ms=, cpu_ms=, memory_mib=, processes=, open_files=, workspace_mib=, workspace_inodes=, output_kib=, output_hard_mib=
    within               milliseconds in which the answer must be there
    args, env, files     words; NAME=value words; helpers of programs/lib, as HELPER or HELPER:NAME
    stdin-bytes          how much stdin is sent
    artifacts, brings    what is asked for; which of it may come back: names, NAME? where it may be absent, * for anything, nothing for none
    most-bytes           of all artifacts together
    may-refuse           "yes": the request may be answered by an error instead, that says that it asks too much
    home                 "yes": in a kept sandbox, in which afterwards the server reads, lists and writes the paths named by
    reads, lists, writes those lines
    during               "reads A B lists C": the same while the program runs
    phases, together     arguments of several runs, one after the other or at the same time
    between-runs         "differ": no line that begins with STATE may come twice in two runs
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sandql.core.values import InputFile, KiB, Limits, MiB

PROGRAMS = Path(__file__).parent / "programs"
LIBRARY = PROGRAMS / "lib"
LANGUAGES = {".py": "python", ".sh": "bash", ".js": "javascript"}

_HEADER = re.compile(r"(?:#|//) ([a-z][a-z -]*): ?(.*)")
_KNOWN = frozenset(
    "tries;judged by;expect;limits;within;args;env;files;stdin-bytes;artifacts;brings;most-bytes;may-refuse;home;reads;lists;writes;"
    "during;phases;together;between-runs".split(";")
)
_UNITS = {"memory_mib": ("memory_bytes", MiB), "workspace_mib": ("workspace_bytes", MiB), "output_kib": ("output_bytes", KiB)}
_UNITS["output_hard_mib"] = ("output_hard_bytes", MiB)
_NODE_MEMORY_BYTES = 512 * MiB
_DEFAULTS = {
    "wall_ms": 6000,
    "memory_bytes": 128 * MiB,
    "workspace_bytes": 64 * MiB,
    "output_bytes": 256 * KiB,
    "output_hard_bytes": 8 * MiB,
}


@dataclass(frozen=True, slots=True)
class Attack:
    """One hostile program. `header` holds its lines by name."""

    name: str
    group: str
    language: str
    code: bytes
    header: dict[str, str]

    def words(self, line: str) -> list[str]:
        """The words of a header line, none where it is absent."""
        return self.header.get(line, "").split()

    @property
    def limits(self) -> Limits:
        """What its runs may use."""
        values = dict(_DEFAULTS)
        if self.language == "javascript":
            values["memory_bytes"] = _NODE_MEMORY_BYTES
        for word in self.words("limits"):
            name, value = word.split("=")
            field, unit = _UNITS.get(name, (name, 1))
            values[field] = int(value) * unit
        values.setdefault("cpu_ms", values["wall_ms"])
        return Limits(**values)

    @property
    def within_ms(self) -> int:
        """How long the whole call may take: its own bound, or its wall time and some seconds for a busy machine."""
        return int(self.header.get("within") or self.limits.wall_ms + 4000)

    @property
    def files(self) -> tuple[InputFile, ...]:
        """The helpers that are put into its workspace."""
        wanted = [word.partition(":") for word in self.words("files")]
        if self.language == "python" and b"import probe" in self.code:
            wanted.append(("probe.py", "", ""))
        return tuple(InputFile(name or source, (LIBRARY / source).read_bytes()) for source, _, name in wanted)


def load() -> list[Attack]:
    """Every program, sorted by name.

    Raises:
        ValueError: a header line is not known, or one is missing.
    """
    return [_read(path) for path in sorted(PROGRAMS.glob("*/*")) if path.parent != LIBRARY and path.suffix in LANGUAGES]


def _read(path: Path) -> Attack:
    code = path.read_bytes()
    header: dict[str, str] = {}
    for line in code.decode().splitlines():
        match = _HEADER.fullmatch(line)
        if not match:
            break
        if match[1] not in _KNOWN:
            raise ValueError(f"{path}: there is no header line {match[1]!r}")
        header[match[1]] = match[2]
    if not header.get("tries") or not header.get("judged by"):
        raise ValueError(f"{path}: a program says what it tries and by what it is judged")
    return Attack(f"{path.parent.name}/{path.name}", path.parent.name, LANGUAGES[path.suffix], code, header)
