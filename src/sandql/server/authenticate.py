"""Who is calling, before anything else is done for a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from starlette.types import ASGIApp, Receive, Scope, Send

from sandql.access.address_limits import AddressLimits
from sandql.access.callers import Authenticator
from sandql.core.errors import SandqlError, Unauthenticated
from sandql.core.settings import Settings
from sandql.core.values import Caller
from sandql.server.client_address import address_of
from sandql.server.credential_watch import CredentialWatch
from sandql.server.credentials import in_headers, in_payload
from sandql.server.graphql_errors import refusal
from sandql.server.negotiation import JSON, RESPONSE_JSON, Accepted, negotiate
from sandql.server.request_context import sandboxes_of
from sandql.server.responses import CLOSE, send_refusal

# They show nothing of any caller's, and do nothing: what asks whether the server lives has no credential, and who has one needs a page to enter it.
_OPEN: Final = frozenset({"/", "/live", "/health"})
_OPEN_FOLDER: Final = "/graphiql/"
_PAGE: Final = "/graphql"


class Authenticate:
    """ASGI middleware: puts the address and the caller into the scope's state, or answers 401, or 429 where the address has too much without proof.

    A WebSocket says who it is later, in `connection_init`. While a request is worked on its credential is looked at again: what is not
    finished when that ends is ended with it, which is no failure of the address.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope["state"]["address"] = address_of(scope, self._settings)
        if scope["type"] != "http" or _is_open(scope):
            await self.app(scope, receive, send)
            return
        try:
            watch = await _authenticate(scope, lambda: in_headers(scope["headers"]))
        except SandqlError as error:
            await _refuse(scope, send, error)
            return
        try:
            with watch:
                await self.app(scope, receive, send)
        except SandqlError as error:
            if error is not watch.end:  # that, the application has said to the client, where it could be said
                raise


async def authenticate_socket(scope: Scope, payload: Mapping[str, Any] | None) -> CredentialWatch:
    """Put the caller of a WebSocket into the scope's state: what `connection_init` says, or else the handshake's headers. Raises SandqlError."""

    def find() -> str | None:
        credential = in_payload(payload)
        return in_headers(scope["headers"]) if credential is None else credential

    return await _authenticate(scope, find)


def watch_again(scope: Scope) -> CredentialWatch:
    """Watch the credential of a request for work that outlives it."""
    state = scope["state"]
    return CredentialWatch(_authenticator_of(scope), cast("str | None", state["credential"]), cast(Caller, state["caller"]))


async def _authenticate(scope: Scope, find: Callable[[], str | None]) -> CredentialWatch:
    state = scope["state"]
    address, limits = cast("str | None", state["address"]), cast(AddressLimits, state["address_limits"])
    authenticator = _authenticator_of(scope)
    try:
        credential = find()
        if not authenticator.knows(credential):
            limits.admit(address)
        caller = await authenticator.authenticate(credential, address)
    except Unauthenticated:
        limits.fail(address)
        audit = sandboxes_of(scope).access.audit
        if audit is not None:  # as many lines as the address has failures, and no more
            audit.unauthenticated(address, "credential")
        raise
    state["caller"], state["credential"] = caller, credential
    return CredentialWatch(authenticator, credential, caller)


def _authenticator_of(scope: Scope) -> Authenticator:
    return cast(Authenticator, scope["state"]["authenticator"])


def _is_open(scope: Scope) -> bool:
    if scope["method"] not in ("GET", "HEAD"):
        return False
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    if path == _PAGE:
        return _accepted(scope).page
    return path in _OPEN or path.startswith(_OPEN_FOLDER)


def _accepted(scope: Scope) -> Accepted:
    return negotiate(dict(scope["headers"]).get(b"accept", b"").decode("latin-1"))


async def _refuse(scope: Scope, send: Send, error: SandqlError) -> None:
    single = _accepted(scope).single
    media = single if single in (JSON, RESPONSE_JSON) else JSON
    await send_refusal(send, refusal(error), media=media, headers=(CLOSE,))  # the rest of a body that was not read is not waited for
