"""What a Java source calls itself: its file must have the name of its public class, and the class with `main` is the one to run."""

from __future__ import annotations

import re
from typing import Final

_DEFAULT: Final = "Main"
_MAX_NAME_BYTES: Final = 200
_LOOKED_AT: Final = 64 * 1024  # of the source: a class begins well before
_TYPES: Final = ("class", "interface", "enum", "record")
# Comments, text blocks, strings and characters are skipped as a whole; one that does not end takes all the rest, so this stays linear.
_TOKEN: Final = re.compile(
    r"""//[^\n]*|/\*(?:.*?\*/|.*)|\"{3}(?:.*?\"{3}|.*)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|[{};]|@interface\b|[\w$.]+""", re.DOTALL
)


def java_names(code: bytes) -> tuple[str, str]:
    """The name of the file without `.java`, and the full name of the class to run."""
    package = public = first = with_main = ""
    current = previous = ""
    depth = 0
    is_public = False
    for match in _TOKEN.finditer(code[:_LOOKED_AT].decode(errors="replace")):
        token = match.group()
        if token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
            is_public = is_public and depth > 0
        elif depth == 0:
            if token == ";":
                is_public = False
            elif token == "public":
                is_public = True
            elif previous == "package":
                package = token
            elif previous in _TYPES and _is_name(token):
                current = token
                first = first or token
                public = public or (token if is_public else "")
        elif depth == 1 and token == "main" and previous == "void":
            with_main = with_main or current
        previous = token
    run = with_main or public or first or _DEFAULT
    return public or with_main or first or _DEFAULT, f"{package}.{run}" if package else run


def _is_name(token: str) -> bool:
    return "." not in token and token[0] not in "\"'/@{};" and len(token.encode()) <= _MAX_NAME_BYTES
