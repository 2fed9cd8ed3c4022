"""What clients were told, and so what must be true later, whatever happens to the server in between."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


def digest(content: str) -> str:
    """A short name for a content."""
    return hashlib.sha256(content.encode()).hexdigest()[:16]


@dataclass(slots=True)
class Watched:
    """A run that was started, and the events of it that were delivered, in their order."""

    id: str
    text: str  # all that it prints
    seqs: list[int] = field(default_factory=list[int])
    seen: str = ""
    outcome: str | None = None


@dataclass(slots=True)
class Ledger:
    """Acknowledged writes, sandboxes and runs; `wrong` is everything that must not happen, `done` counts what did."""

    files: dict[tuple[str, str], set[str]] = field(default_factory=dict[tuple[str, str], set[str]])  # (sandbox, path) → what it may hold
    sandboxes: set[str] = field(default_factory=set[str])
    destroyed: set[str] = field(default_factory=set[str])
    runs: dict[str, Watched] = field(default_factory=dict[str, Watched])
    done: dict[str, int] = field(default_factory=dict[str, int])
    wrong: list[str] = field(default_factory=list[str])

    def count(self, what: str) -> None:
        """One more of these was done."""
        self.done[what] = self.done.get(what, 0) + 1

    def writing(self, sandbox: str, path: str, content: str) -> None:
        """A write is on its way: from now on the file may hold this as well."""
        self.files.setdefault((sandbox, path), {"nothing"}).add(digest(content))

    def written(self, sandbox: str, path: str, content: str) -> None:
        """A write was acknowledged: from now on the file holds this and nothing else."""
        self.files[sandbox, path] = {digest(content)}

    def check_file(self, sandbox: str, path: str, content: str | None) -> None:
        """Compare a file with what it may hold."""
        found = "nothing" if content is None else digest(content)
        if found not in self.files[sandbox, path]:
            self.wrong.append(f"{sandbox}: {path} holds {found} ({(content or '')[:40]!r}), expected one of {self.files[sandbox, path]}")

    def delivered(self, run: Watched, seq: int, text: str) -> None:
        """An event of a run came: it must be the next one."""
        expected = (run.seqs[-1] if run.seqs else 0) + 1
        if seq != expected:
            self.wrong.append(f"{run.id}: event {seq} came where {expected} was due")
        run.seqs.append(seq)
        run.seen += text
        if not run.text.startswith(run.seen):
            self.wrong.append(f"{run.id}: printed {run.text[:60]!r}…, delivered …{run.seen[-60:]!r} (at {len(run.seen)})")

    def ended(self, run: Watched, outcome: str, *, may_be_lost: bool) -> None:
        """The last event of a run came."""
        run.outcome = outcome
        if outcome == "COMPLETED":
            if run.seen != run.text:
                self.wrong.append(f"{run.id}: {len(run.text)} characters were printed, {len(run.seen)} delivered")
        elif not (may_be_lost and outcome == "SANDBOX_LOST"):
            self.wrong.append(f"{run.id}: {outcome}")
