"""What a caller may do, and what an operation needs for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Permission(StrEnum):
    """What a role may grant."""

    EXECUTE_CODE = "EXECUTE_CODE"
    ACCESS_FILES = "ACCESS_FILES"
    CREATE_SANDBOX = "CREATE_SANDBOX"
    ADMINISTER = "ADMINISTER"


class Kind(StrEnum):
    """What rate limits count apart."""

    EXECUTE = "EXECUTE"
    FILES = "FILES"
    SANDBOX = "SANDBOX"
    QUERY = "QUERY"


@dataclass(frozen=True, slots=True)
class Act:
    """One operation, the same on every door: `permission` is needed for it, None where every caller may.

    The audit log has it under `name`; a refusal names it as `shown`, unless the door has a better name. Rate limits count it as `kind`; None where it
    is only a part of another operation. `audited` is whether the audit log has a line of each that was admitted; of those that were refused it has
    one in any case.
    """

    name: str
    shown: str
    kind: Kind | None
    permission: Permission | None
    audited: bool = False


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """The most that a run of a caller may have; None leaves the server's own bound."""

    cpu_cores: float | None = None
    memory_bytes: int | None = None
    wall_ms: int | None = None
    processes: int | None = None
    open_files: int | None = None
    workspace_bytes: int | None = None
    output_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a caller may do. `providers` and `languages` are canonical names, None for all; `network` is whether a run may have one."""

    allowed: frozenset[Permission] = frozenset()
    providers: frozenset[str] | None = None
    languages: frozenset[str] | None = None
    network: bool = False
    limits: ResourceLimits = field(default_factory=ResourceLimits)


EVERYTHING = Permissions(frozenset(Permission), network=True)
