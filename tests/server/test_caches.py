"""Documents are parsed and validated once; what is wrong is said each time."""

from __future__ import annotations

from hashlib import sha256

import pytest

from sandql.core.settings import Settings, load_settings
from sandql.core.values import Caller
from sandql.server.document_cache import TextCache
from sandql.server.graphql_errors import RequestRefused
from sandql.server.graphql_execution import GraphQL
from sandql.server.persisted_queries import PersistedQueries
from sandql.server.request_params import Params


@pytest.fixture
def settings() -> Settings:
    return load_settings()


@pytest.fixture
def graphql(settings: Settings) -> GraphQL:
    return GraphQL(settings)


def test_a_document_is_checked_once(graphql: GraphQL) -> None:
    first = graphql.prepare("{ __typename }", None, Caller())
    assert graphql.cache_hits == 0
    assert graphql.prepare("{ __typename }", None, Caller()) is first
    assert graphql.cache_hits == 1


@pytest.mark.parametrize("query", ["{", "{ nope }", "query A { __typename } query B { __typename }", "{ a: " * 3000])
def test_what_is_wrong_is_said_each_time(graphql: GraphQL, query: str) -> None:
    said: list[list[dict[str, object]]] = []
    for _ in range(3):
        with pytest.raises(RequestRefused) as refused:
            graphql.prepare(query, None, Caller())
        said.append(refused.value.errors)
    assert said[0] == said[1] == said[2]
    assert said[0][0]["message"]


def test_the_cache_is_bounded_by_text() -> None:
    cache: TextCache[str] = TextCache(max_chars=100, max_text_chars=40)
    made: list[str] = []

    def make(text: str) -> str:
        made.append(text)
        return text.upper()

    texts = [f"{number:030}" for number in range(4)]
    for text in [*texts[:3], texts[0], texts[3]]:
        assert cache.get(text, make) == text.upper()
    assert (cache.hits, cache.misses) == (1, 4)
    cache.get(texts[0], make)
    assert cache.hits == 2, "what was used last is kept"
    cache.get(texts[1], make)
    assert cache.hits == 2, "what was not used was dropped"
    long = "x" * 41
    cache.get(long, make)
    cache.get(long, make)
    assert made.count(long) == 2, "what is long is not kept"


def test_what_fails_is_not_kept() -> None:
    cache: TextCache[str] = TextCache(100, 100)

    def fail(text: str) -> str:
        raise ValueError(text)

    with pytest.raises(ValueError, match="a"):
        cache.get("a", fail)
    assert cache.get("a", str.upper) == "A"


def params(query: str | None, hashed: str) -> Params:
    return Params(query, None, None, sha256(hashed.encode()).hexdigest())


def test_persisted_queries_are_bounded() -> None:
    persisted = PersistedQueries(max_chars=50)
    texts = [f"{{ a{number:015} }}" for number in range(4)]
    for text in texts:
        persisted.keep(params(text, text))
    assert persisted.text(params(None, texts[3])) == texts[3]
    with pytest.raises(RequestRefused, match="PersistedQueryNotFound"):
        persisted.text(params(None, texts[0]))
    persisted.keep(params("x" * 51, "long"))
    with pytest.raises(RequestRefused):
        persisted.text(params(None, "long"))
