"""What the documents show, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

_DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a language in a page of docs/, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", (_DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def block(page: str, language: str, marker: str) -> str:
    """The one block of a language that holds `marker`."""
    (found,) = [text for text in blocks(page, language) if marker in text]
    return found


def at(text: str, url: str) -> str:
    """The text with the address of a server in place of those that the documents use; `url` has no slash at the end."""
    socket_url = url.replace("http", "ws", 1)
    for shown, real in (("https://sandql.example.com", url), ("wss://sandql.example.com", socket_url)):
        text = text.replace(shown, real)
    return text.replace("http://127.0.0.1:8000", url).replace("ws://127.0.0.1:8000", socket_url)
