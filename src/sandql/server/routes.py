"""The routes of the application by name: what a log line and a metric say instead of a path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from starlette.routing import BaseRoute, Route, WebSocketRoute

OTHER: Final = "other"


class RouteNames:
    """Finds the name of a path: that of its route in the table, with the names of its parameters in their places."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        known = [route for route in routes if isinstance(route, Route | WebSocketRoute)]
        self._exact = {route.path: route.path for route in known if "{" not in route.path}
        self._patterns = [(route.path_regex, route.path) for route in known if "{" in route.path]

    def name(self, path: str) -> str:
        """The name of a path; `other` where no route takes it."""
        found = self._exact.get(path)
        if found is not None:
            return found
        return next((name for pattern, name in self._patterns if pattern.match(path)), OTHER)
