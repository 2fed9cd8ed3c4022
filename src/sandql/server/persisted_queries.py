"""Automatic persisted queries: a client sends the hash of a document that it has sent before."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import Final

from sandql.core.errors import BadRequest
from sandql.server.graphql_errors import RequestRefused
from sandql.server.request_params import Params

_MAX_CHARS: Final = 1024 * 1024


class PersistedQueries:
    """The most recently used documents by their SHA-256, bounded by their characters in all."""

    def __init__(self, max_chars: int = _MAX_CHARS) -> None:
        self._max_chars = max_chars
        self._chars = 0
        self._documents: OrderedDict[str, str] = OrderedDict()

    def text(self, params: Params) -> str:
        """The document that a request means.

        Raises:
            RequestRefused: it names a document that is not here; the client is to send it with its hash.
            BadRequest: the hash is not that of the document.
        """
        query, query_hash = params.query, params.query_hash
        if query_hash is None:
            return query or ""
        if query is None:
            if query_hash not in self._documents:
                extensions = {"code": "PERSISTED_QUERY_NOT_FOUND", "status": 400}
                raise RequestRefused([{"message": "PersistedQueryNotFound", "extensions": extensions}], 400, is_graphql=True)
            self._documents.move_to_end(query_hash)
            return self._documents[query_hash]
        if sha256(query.encode(errors="replace")).hexdigest() != query_hash:
            raise BadRequest("extensions.persistedQuery.sha256Hash: is not the SHA-256 of query")
        return query

    def keep(self, params: Params) -> None:
        """Remember a document by its hash, once it has been found valid: what is not must not push out what is."""
        query, query_hash = params.query, params.query_hash
        if query is None or query_hash is None or query_hash in self._documents or len(query) > self._max_chars:
            return
        self._documents[query_hash] = query
        self._chars += len(query)
        while self._chars > self._max_chars:
            _, dropped = self._documents.popitem(last=False)
            self._chars -= len(dropped)
