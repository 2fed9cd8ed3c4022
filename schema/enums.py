"""Words of which a client may say, or gets, exactly one."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

import strawberry
from strawberry.types.enum import has_enum_definition

from sandql.core.values import FileType, Outcome, Stream


class Encoding(StrEnum):
    """How the bytes of a file are written as text."""

    UTF8 = "UTF8"
    BASE64 = "BASE64"


Enum = TypeVar("Enum", bound=type[StrEnum])


def _register(enum: Enum, description: str, **values: str) -> Enum:
    """Give an enum its GraphQL form, with a description of each value.

    Members must be strings: a schema that was sorted to be printed forgets the class of its enums, and compares members by their values.
    """
    strawberry.enum(enum, description=description)
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

__all__ = ["Encoding", "FileType", "Outcome", "Stream"]
