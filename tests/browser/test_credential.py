"""The page at /graphql of a server that lets nobody in without a credential."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Drive
from tests.support.server import running_server
from tests.support.tokens import SECRET, token

DORA, VERA = token("dora"), token("vera", "viewer")
MISSING = "a credential is needed: send `Authorization: Bearer …` with a token or an API key, or `X-API-Key`"


@pytest.fixture(scope="module")
def seen(drive: Drive) -> dict[str, Any]:
    """What a visitor saw who had no credential at first, then a wrong one, then two good ones."""
    picture = Path(tempfile.mkdtemp(prefix="sandql-page-")) / "credential.png"  # it stays, for somebody to look at
    with running_server(jwt_secret=SECRET) as server:
        seen = drive("credential.mjs", server.url + "/graphql", str(picture), DORA, VERA)
        return {**seen, "picture": picture, "log": "".join(server.log)}


def test_without_a_credential_it_says_what_is_needed_and_nothing_runs(seen: dict[str, Any]) -> None:
    (error,) = seen["refused"]["errors"]
    assert (error["message"], error["extensions"]["code"]) == (MISSING, "UNAUTHENTICATED")
    assert "a valid credential is needed" in " ".join(seen["refusedStream"].replace("\xa0", " ").split())
    assert seen["log"].count("operation=Stream") == seen["log"].count("operation=Hello") == 1, "those that were let in, later"


def test_with_one_requests_and_subscriptions_run(seen: dict[str, Any]) -> None:
    assert seen["hello"]["data"]["executeCode"]["outcome"] == "COMPLETED"
    assert seen["streamed"].split() == [str(number) for number in range(1, 11)]
    inits = [message.get("payload") for message in seen["sent"] if message["type"] == "connection_init"]
    assert inits[0] in (None, {})
    assert inits[1] == {"Authorization": f"Bearer {DORA}"}


def test_a_tab_may_have_another(seen: dict[str, Any]) -> None:
    assert seen["me"] == {"data": {"viewer": {"id": "jwt:/dora"}}}
    assert seen["other"] == {"data": {"viewer": {"id": "jwt:/vera"}}}
    assert seen["count"] == 6


def test_it_shows_the_fields_that_the_role_may_use(seen: dict[str, Any]) -> None:
    assert {"executeCode", "readFile", "createSandbox", "viewer"} <= set(seen["developers"])
    assert "createApiKey" not in seen["developers"]
    assert {"viewer", "languages"} <= set(seen["viewers"])
    assert not {"executeCode", "readFile", "createSandbox", "createApiKey"} & set(seen["viewers"])


def test_it_keeps_the_credential_nowhere_and_asks_nobody_else(seen: dict[str, Any]) -> None:
    assert not seen["isStored"]
    assert {kind: seen[kind] for kind in ("failed", "errors", "violations") if seen[kind]} == {}
    assert {text for text in seen["console"] if "401 (Unauthorized)" not in text} == set()


def test_the_page_was_drawn(seen: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert seen["picture"].stat().st_size > 20_000, "an empty page is smaller"
    with capsys.disabled():
        sys.stdout.write(f"\nthe page that asks for a credential, as Chromium drew it: {seen['picture']}\n")
