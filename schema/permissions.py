"""What a caller may do, as it sees it itself."""

from __future__ import annotations

from typing import Final

import strawberry

from sandql.access.grants import may_use_language
from sandql.core.limits import widest_limits
from sandql.core.permissions import Permission
from sandql.core.values import Caller, MiB
from sandql.resolvers.bounds import COMMAND
from sandql.resolvers.catalog import offered_providers
from sandql.sandboxes.borrow import Sandboxes

_MB: Final = "of 1,048,576 bytes"


@strawberry.type(description="The most that a run of the caller may have: the server's own bound, or less where the caller's role grants less.")
class ResourceLimits:
    """See `sandql.core.permissions.ResourceLimits`."""

    max_cpu_cores: float | None = strawberry.field(description="CPU time that a run may use, for each second that it takes; null for no such bound.")
    max_memory_mb: float = strawberry.field(name="maxMemoryMB", description=f"Memory, in megabytes {_MB}.")
    max_execution_time: int = strawberry.field(description="Wall time, in milliseconds.")
    max_processes: int = strawberry.field(description="Processes and threads at one time.")
    max_open_files: int = strawberry.field(description="Open files of each process.")
    max_workspace_mb: float = strawberry.field(name="maxWorkspaceMB", description=f"What is in a workspace, in megabytes {_MB}.")
    max_output_bytes: int = strawberry.field(description="Bytes kept of each of `output` and `stderr`.")


@strawberry.type(description="What the caller's role grants.")
class Permissions:
    """See `sandql.core.permissions.Permissions`."""

    can_execute_code: bool = strawberry.field(description="Whether it may run programs, commands, terminals and contexts.")
    can_access_files: bool = strawberry.field(description="Whether it may read and change files.")
    can_create_sandbox: bool = strawberry.field(description="Whether it may make, extend and end sandboxes that last.")
    can_administer: bool = strawberry.field(description="Whether it may look after the server, and act as others.")
    allowed_providers: list[str] = strawberry.field(description="The providers in use that it may use, sorted.")
    allowed_languages: list[str] = strawberry.field(
        description='The languages that it may use, sorted; "command" is among them where commands and terminals are.'
    )
    network: bool = strawberry.field(description="Whether its runs may have a network, where a provider has one to give; `local` has none.")
    resource_limits: ResourceLimits = strawberry.field(description="The most that a run of it may have.")


def permissions(sandboxes: Sandboxes, caller: Caller) -> Permissions:
    """The GraphQL form of what a caller may do."""
    granted = caller.permissions
    providers = offered_providers(sandboxes, caller)
    languages = {language.name for provider in providers for language in provider.languages}
    if may_use_language(caller, COMMAND):
        languages.add(COMMAND)
    return Permissions(
        can_execute_code=Permission.EXECUTE_CODE in granted.allowed,
        can_access_files=Permission.ACCESS_FILES in granted.allowed,
        can_create_sandbox=Permission.CREATE_SANDBOX in granted.allowed,
        can_administer=Permission.ADMINISTER in granted.allowed,
        allowed_providers=[provider.name for provider in providers],
        allowed_languages=sorted(languages),
        network=granted.network,
        resource_limits=_limits(sandboxes, caller),
    )


def _limits(sandboxes: Sandboxes, caller: Caller) -> ResourceLimits:
    most, granted = widest_limits(sandboxes.settings), caller.permissions.limits
    return ResourceLimits(
        max_cpu_cores=granted.cpu_cores,
        max_memory_mb=_lesser(most.memory_bytes, granted.memory_bytes) / MiB,
        max_execution_time=_lesser(most.wall_ms, granted.wall_ms),
        max_processes=_lesser(most.processes, granted.processes),
        max_open_files=_lesser(most.open_files, granted.open_files),
        max_workspace_mb=_lesser(most.workspace_bytes, granted.workspace_bytes) / MiB,
        max_output_bytes=_lesser(most.output_bytes, granted.output_bytes),
    )


def _lesser(most: int, granted: int | None) -> int:
    return most if granted is None else min(most, granted)
