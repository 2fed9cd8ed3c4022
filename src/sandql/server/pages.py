"""The page for browsers and its files, made beforehand and shipped with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

FOLDER: Final = Path(__file__).parent / "graphiql"

# The editor writes style elements and attributes of its own, and draws with data: images. Nothing comes from, or goes to, another place.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SECURITY: Final = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_PAGE_HEADERS: Final = _SECURITY | {"cache-control": "no-cache", "vary": "accept"}
_HASHED: Final = "public, max-age=31536000, immutable"  # the name of the file changes with its bytes
_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".md": "text/markdown",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
}


class Pages:
    """GraphiQL and its files. Only what lies in the folder when the server starts is served: a name is looked up, never opened as a path."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._index = folder / "index.html"
        self._files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file() and path.suffix in _TYPES}

    async def index(self, _request: Request) -> Response:
        """The page itself."""
        return FileResponse(self._index, media_type="text/html", headers=_PAGE_HEADERS)

    async def file(self, request: Request) -> Response:
        """A file that the page asks for."""
        name = str(request.path_params["path"])
        path = self._files.get(name)
        if path is None:
            return PlainTextResponse("there is no such file", 404, _SECURITY)
        cache = _HASHED if name.startswith("assets/") else "no-cache"
        return FileResponse(path, media_type=_TYPES[path.suffix], headers=_SECURITY | {"cache-control": cache})
