"""A provider that fails again and again, as a client and a load balancer see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sandql.core.errors import ProviderUnavailable
from tests.support.twin_server import TwinServer, running_twin, wait_for

_RUN = 'mutation { executeCode(code: "out 1", language: "script") { output } }'
_MOST, _PAUSE_S = 3, 0.5


@pytest.fixture
def served(tmp_path: Path) -> Iterator[TwinServer]:
    with running_twin(keep=True, state_dir=tmp_path, breaker_failures=_MOST, breaker_pause_s=_PAUSE_S) as made:
        yield made


def ask(served: TwinServer, query: str) -> dict[str, Any]:
    return httpx2.post(served.url, json={"query": query}).json()


def health(served: TwinServer) -> httpx2.Response:
    return httpx2.get(served.url.replace("/graphql", "/health"))


def test_it_is_refused_with_a_time_to_come_back_shown_by_health_and_used_again(served: TwinServer) -> None:
    served.twin.failure = ProviderUnavailable("it does not answer")
    for _ in range(_MOST):
        assert ask(served, _RUN)["errors"][0]["message"] == "it does not answer"
    asked = served.twin.asked
    for query in (_RUN, "mutation { createSandbox { id } }", 'mutation { startExecution(code: "out 1", language: "script") { id } }'):
        (error,) = ask(served, query)["errors"]
        assert error["extensions"]["code"] == "PROVIDER_UNAVAILABLE", error
        assert 0 < error["extensions"]["retryAfter"] <= _PAUSE_S
        assert "'local' failed 3 times in a row" in error["message"]
    assert served.twin.asked == asked, "it was asked while it is left alone"
    assert served.twin.kept == set()
    ill = health(served)
    assert ill.status_code == 503
    assert ill.json()["services"]["local"] == "unhealthy"
    assert ill.json()["providers"]["local"]["breaker"] == "open"
    assert "failed 3 times in a row" in ill.json()["providers"]["local"]["detail"]
    assert ask(served, "{ providers { available } }")["data"]["providers"][0]["available"] is False
    served.twin.failure = None
    wait_for(lambda: health(served).status_code == 200, "a load balancer that sends work again")
    assert health(served).json()["providers"]["local"]["breaker"] == "half_open"
    assert ask(served, _RUN) == {"data": {"executeCode": {"output": "1\n"}}}
    assert health(served).json()["providers"]["local"]["breaker"] == "closed"
