"""Words of which a client may say, or gets, exactly one."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

import strawberry
from strawberry.types.enum import has_enum_definition

from sandql.core.contexts import ContextStatus
from sandql.core.executions import ExecutionStatus
from sandql.core.files import ChangeKind
from sandql.core.kept import SandboxStatus
from sandql.core.permissions import Permission
from sandql.core.values import FileType, Outcome, Signal, Stream
from sandql.resolvers.usage import UsageBy
from sandql.sandboxes.notices import NoticeKind


class Encoding(StrEnum):
    """How the bytes of a file are written as text."""

    UTF8 = "UTF8"
    BASE64 = "BASE64"


Enum = TypeVar("Enum", bound=type[StrEnum])


def _register(enum: Enum, description: str, name: str | None = None, **values: str) -> Enum:
    """Give an enum its GraphQL form, with a description of each value.

    Members must be strings: a schema that was sorted to be printed forgets the class of its enums, and compares members by their values.
    """
    strawberry.enum(enum, name=name, description=description)
    if has_enum_definition(enum):
        for value in enum.__strawberry_definition__.values:
            value.description = values.pop(value.name)
    if values:
        raise ValueError(f"{enum.__name__}: has no {', '.join(values)}")
    return enum


_register(
    Outcome,
    "How a run ended.",
    COMPLETED="The program ended by itself with exit code 0.",
    FAILED="The program ended with another exit code, or did not compile.",
    TIMED_OUT="Its wall time or its CPU time was used up.",
    OUT_OF_MEMORY="It needed more memory than its limit.",
    OUTPUT_LIMIT="It wrote more than the server takes.",
    KILLED="A signal ended it.",
    CANCELLED="The caller ended it, or went away.",
    SANDBOX_LOST="Its sandbox was lost; the program is not at fault.",
)
_register(
    Stream,
    "Which of a program's two outputs.",
    STDOUT="Standard output.",
    STDERR="Standard error.",
)
_register(
    FileType,
    "What a name in a workspace is.",
    FILE="A regular file.",
    DIRECTORY="A directory.",
    SYMLINK="A symbolic link; it is never followed.",
    OTHER="A pipe, a socket or a device.",
)
_register(
    Encoding,
    "How the bytes of a file are written as text.",
    UTF8="The bytes are UTF-8, and the text is what they say.",
    BASE64="The text is the BASE64 form of the bytes (RFC 4648, section 4).",
)

_register(
    Permission,
    "What a role may grant.",
    EXECUTE_CODE="Run code: executions, commands, terminals and contexts.",
    ACCESS_FILES="Read and change files.",
    CREATE_SANDBOX="Make sandboxes that last, and end them.",
    ADMINISTER="Make and revoke API keys, and act on what others own.",
)
_register(
    ChangeKind,
    "What became of a path.",
    CREATED="It is new.",
    MODIFIED="What it holds has changed.",
    REMOVED="It is gone.",
    MOVED="It was elsewhere before.",
)
_register(
    SandboxStatus,
    "Where a sandbox is in its life.",
    CREATING="It is being made.",
    RUNNING="It has work, or had some a short time ago.",
    IDLE="It has had no work for some time.",
    DESTROYED="Its owner or its time ended it.",
    LOST="It is gone, and nobody asked for that.",
)
_register(
    NoticeKind,
    "What became of a sandbox.",
    "SandboxEventKind",
    RUNNING="It has work again.",
    IDLE="It has had no work for some time.",
    EXTENDED="Its owner gave it more time.",
    EXPIRING="It ends soon, unless it gets work.",
    DESTROYED="Its owner or its time ended it.",
    LOST="It is gone, and nobody asked for that.",
)
_register(
    ContextStatus,
    "What a context does.",
    IDLE="It waits for code.",
    BUSY="It runs code.",
    DEAD="It has ended, by itself or because it used too much; restart it, or close it.",
)
_register(ExecutionStatus, "Whether an execution goes on.", RUNNING="It runs, or waits for its turn.", ENDED="It has ended.")
_register(
    Signal,
    "What can be sent to a program that runs.",
    HUP="Hang up.",
    INT="Interrupt, as Ctrl-C does.",
    QUIT="Quit.",
    KILL="End it now; the outcome is CANCELLED.",
    USR1="The program's own.",
    USR2="The program's own.",
    TERM="Ask it to end.",
    CONT="Go on after STOP.",
    STOP="Stop until CONT.",
)

_register(
    UsageBy,
    "What usage is summed up by.",
    DAY="A sum for each day in UTC; `key` is the date, as 2026-01-31.",
    PROVIDER="A sum for each provider; `key` is its name.",
    LANGUAGE='A sum for each language; `key` is its name, "command" for commands and "terminal" for terminals.',
)

__all__ = [
    "ChangeKind",
    "ContextStatus",
    "Encoding",
    "ExecutionStatus",
    "FileType",
    "NoticeKind",
    "Outcome",
    "Permission",
    "SandboxStatus",
    "Signal",
    "Stream",
    "UsageBy",
]
