"""What a client accepts, as GraphQL over HTTP reads the Accept header."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

JSON: Final = "application/json"
RESPONSE_JSON: Final = "application/graphql-response+json"
EVENT_STREAM: Final = "text/event-stream"
MULTIPART: Final = "multipart/mixed"
HTML: Final = "text/html"


@dataclass(frozen=True, slots=True)
class _Range:
    kind: str
    subtype: str
    parameters: dict[str, str]
    quality: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """The best forms of an answer: of a single one, of a stream, and whether a page is wanted. None: not acceptable."""

    single: str | None
    stream: str | None
    page: bool


@lru_cache(maxsize=256)
def negotiate(accept: str) -> Accepted:
    """Read an Accept header; an empty one accepts everything.

    A single answer comes as an event stream only where that is preferred: clients of streams list it after JSON for everything.
    """
    ranges = _ranges(accept)
    order = (JSON, RESPONSE_JSON) if _quality(ranges, RESPONSE_JSON)[1] < 2 else (RESPONSE_JSON, JSON)
    single = _best(ranges, (*order, EVENT_STREAM, MULTIPART))
    stream = _best(ranges, (EVENT_STREAM, MULTIPART))
    page_quality, page_match = _quality(ranges, HTML)
    page = page_match == 2 and page_quality > 0 and page_quality >= max(_quality(ranges, JSON)[0], _quality(ranges, RESPONSE_JSON)[0])
    return Accepted(single, stream, page)


def _ranges(accept: str) -> list[_Range]:
    found: list[_Range] = []
    for part in accept.split(","):
        media, *rest = (piece.strip() for piece in part.split(";"))
        kind, slash, subtype = media.lower().partition("/")
        if not slash:
            continue
        parameters = {name.strip().lower(): value.strip().strip('"') for name, _, value in (piece.partition("=") for piece in rest)}
        found.append(_Range(kind, subtype, parameters, _weight(parameters.pop("q", "1"))))
    return found or [_Range("*", "*", {}, 1.0)]


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0


def _quality(ranges: list[_Range], media: str) -> tuple[float, int]:
    """How much a media type is wanted, and how exactly it is named: 2 by name, 1 by `application/*`, 0 by `*/*`, -1 not at all."""
    kind, _, subtype = media.partition("/")
    best = (0.0, -1)
    for item in ranges:
        if item.kind == kind and item.subtype == subtype:
            match = 2
        elif item.kind == kind and item.subtype == "*":
            match = 1
        elif item.kind == item.subtype == "*":
            match = 0
        else:
            continue
        if media == MULTIPART and (match < 2 or "subscriptionspec" not in item.parameters):
            continue  # what a client of @defer accepts is another protocol
        if item.parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
            continue
        if match > best[1] or (match == best[1] and item.quality > best[0]):
            best = (item.quality, match)
    return best


def _best(ranges: list[_Range], candidates: tuple[str, ...]) -> str | None:
    """The most wanted of the candidates; of equals the first."""
    best, best_quality = None, 0.0
    for media in candidates:
        quality, _ = _quality(ranges, media)
        if quality > best_quality:
            best, best_quality = media, quality
    return best
