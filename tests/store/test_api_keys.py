"""API keys in a real database: what is kept of them, how they are found, and how soon a revoked one is worth nothing."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from sandql.access import api_keys as module
from sandql.access.api_keys import ApiKeys
from sandql.access.plans import read_plans
from sandql.access.roles import Roles
from sandql.core.api_keys import IssuedApiKey, NewApiKey
from sandql.core.errors import BadRequest, NotFound, ResourceError
from sandql.core.permissions import Permission
from sandql.store import api_key_rows
from sandql.store.store import Store, open_store

ASKED = NewApiKey("ci", "bob", "developer", "pro", "acme", frozenset({Permission.ACCESS_FILES}))


@asynccontextmanager
async def opened(url: str, folder: Path) -> AsyncGenerator[tuple[Store, ApiKeys]]:
    async with open_store(url, folder) as store:
        yield store, ApiKeys(store, Roles(), read_plans({}))


async def test_a_key_is_who_it_was_made_for_and_is_kept_nowhere(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path) as (store, keys):
        issued = await keys.create(ASKED)
        found = await keys.verify(issued.secret)
        assert found is not None
        assert (found.subject, found.role, found.plan, found.tenant) == ("key:acme/bob", "developer", "pro", "acme")
        assert found.scopes == {Permission.ACCESS_FILES}
        assert found.credential == f"key:{issued.key.id}"
        prefix, id_, secret = issued.secret.split("_", 2)
        assert (prefix, id_, len(secret)) == ("sandql", issued.key.id, 43)
        rows = await store.read(lambda connection: connection.execute(text("SELECT * FROM api_keys")))
        assert secret not in repr(rows.all())
        assert secret not in repr(issued.key)


async def test_nearly_a_key_is_none(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, str]] = []
    compare_digest = hmac.compare_digest

    def compare(left: str, right: str) -> bool:
        compared.append((left, right))
        return compare_digest(left, right)

    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    async with opened(database_url, tmp_path) as (_, keys):
        issued, other = await keys.create(ASKED), await keys.create(ASKED)
        id_, secret = issued.key.id, issued.secret.rpartition(issued.key.id + "_")[2]
        changed = secret[:-1] + ("A" if secret[-1] != "A" else "B")
        wrong = [f"sandql_{id_}_{changed}", f"sandql_{other.key.id}_{secret}", f"sandql_{'0' * 16}_{secret}"]
        for credential in wrong:
            assert await keys.verify(credential) is None
        # A prefix that there is, and one that there is not, are told by nothing: both are compared, with as many characters.
        assert [len(right) for _, right in compared] == [64, 64, 64]
        forms = [
            issued.secret[:-1],
            issued.secret + "A",
            issued.secret.upper(),
            issued.secret + "\n",
            f"sandql_{id_}_{issued.key.digest}",
            "sandql_",
            "sandql_%_" + "%" * 43,
        ]
        for credential in forms:
            assert await keys.verify(credential) is None
        assert await keys.verify(issued.secret) is not None


async def test_a_key_that_is_revoked_elsewhere_is_worth_nothing_within_two_seconds(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path) as (_, here), opened(database_url, tmp_path) as (_, there):
        issued = await there.create(ASKED)
        assert await here.verify(issued.secret) is not None
        await there.revoke(issued.key.id, None)
        assert await there.verify(issued.secret) is None
        begun = time.monotonic()
        while await here.verify(issued.secret) is not None:
            assert time.monotonic() - begun < 2
            await asyncio.sleep(0.01)


async def test_a_key_is_known_once_it_was_found_and_until_it_is_revoked(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path) as (_, keys):
        issued = await keys.create(ASKED)
        assert not keys.knows(issued.secret)
        await keys.verify(issued.secret)
        assert keys.knows(issued.secret)
        wrong = [issued.secret[:-1] + ("A" if issued.secret[-1] != "A" else "B"), f"sandql_{'0' * 16}_{'A' * 43}", "sandql_", ""]
        for credential in wrong:
            await keys.verify(credential)
            assert not keys.knows(credential)
        await keys.revoke(issued.key.id, None)
        await keys.verify(issued.secret)
        assert not keys.knows(issued.secret)


async def test_who_tries_keys_pushes_out_none_that_there_is(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHED", 4)
    monkeypatch.setattr(module, "_KNOWN_S", 60.0)
    read: list[str] = []
    find = module.api_key_rows.find

    async def counted(connection: Any, id_: str) -> Any:
        read.append(id_)
        return await find(connection, id_)

    monkeypatch.setattr(module.api_key_rows, "find", counted)
    async with opened(database_url, tmp_path) as (_, keys):
        issued = await keys.create(ASKED)
        assert await keys.verify(issued.secret) is not None
        tried = [f"{number:016x}" for number in range(20)]
        for id_ in tried:
            assert await keys.verify(f"sandql_{id_}_{'A' * 43}") is None
        assert await keys.verify(issued.secret) is not None
        assert read == [issued.key.id, *tried]
        await keys.verify(f"sandql_{tried[-1]}_{'B' * 43}")
        assert len(read) == 21, "what is no key is remembered too"


async def test_an_expired_key_is_worth_nothing_at_once(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path) as (_, keys):
        issued = await keys.create(NewApiKey("short", "bob", "developer", "free", lifetime_s=0.3))
        assert issued.key.expires_at is not None
        while time.time() < issued.key.expires_at - 0.1:
            assert await keys.verify(issued.secret) is not None
        await asyncio.sleep(max(0.0, issued.key.expires_at - time.time()))
        assert await keys.verify(issued.secret) is None


@pytest.mark.parametrize("grace_s", [0.0, 60.0])
async def test_a_rotated_key_makes_way_for_a_new_one(database_url: str, tmp_path: Path, grace_s: float) -> None:
    async with opened(database_url, tmp_path) as (_, keys):
        old = await keys.create(ASKED)
        assert await keys.verify(old.secret) is not None
        new = await keys.rotate(old.key.id, "acme", grace_s)
        assert new.secret != old.secret
        before, after = await keys.verify(old.secret), await keys.verify(new.secret)
        assert after is not None
        assert (after.subject, after.scopes) == ("key:acme/bob", ASKED.scopes)
        assert (before is not None) == (grace_s > 0)
        if before is not None:
            assert before.expires_at is not None
            assert before.expires_at <= time.time() + grace_s
        else:
            with pytest.raises(NotFound):
                await keys.rotate(old.key.id, None)


async def test_a_tenant_has_to_do_with_its_own_keys_only(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path) as (_, keys):
        issued = await keys.create(ASKED)
        unknown = [keys.revoke(id_, None) for id_ in ("nothing", "\ud800", "\0", "")]
        for work in (keys.revoke(issued.key.id, "other"), keys.rotate(issued.key.id, "other"), *unknown):
            with pytest.raises(NotFound):
                await work
        assert (await keys.page("other", 10)).items == []
        assert [key.id for key in (await keys.page("acme", 10)).items] == [issued.key.id]
        assert await keys.verify(issued.secret) is not None


async def test_uses_are_noted_in_one_go(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path) as (_, keys):
        issued = await keys.create(ASKED)
        for _ in range(100):
            await keys.verify(issued.secret)
        assert (await keys.page(None, 1)).items[0].last_used_at is None
        await keys.flush()
        used = (await keys.page(None, 1)).items[0].last_used_at
        assert used is not None
        assert abs(time.time() - used) < 5


@pytest.mark.parametrize("error", [ResourceError("away"), RuntimeError("a defect")])
async def test_uses_that_cannot_be_noted_are_later(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise error

    async with opened(database_url, tmp_path) as (_, keys):
        await keys.verify((await keys.create(ASKED)).secret)
        with monkeypatch.context() as broken:
            broken.setattr(api_key_rows, "note_use", fail)
            await keys.flush()
        assert (await keys.page(None, 1)).items[0].last_used_at is None
        await keys.flush()
        assert (await keys.page(None, 1)).items[0].last_used_at is not None


async def test_many_who_ask_at_once_are_answered_by_one_reading(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(database_url, tmp_path) as (store, keys):
        issued = await keys.create(ASKED)
        reads = 0
        read = store.read

        async def counted(work: Any) -> Any:
            nonlocal reads
            reads += 1
            return await read(work)

        monkeypatch.setattr(store, "read", counted)
        assert None not in await asyncio.gather(*(keys.verify(issued.secret) for _ in range(100)))
        assert reads == 1


BAD: dict[str, dict[str, Any]] = {
    "no name": {"name": ""},
    "long name": {"name": "a" * 65},
    "name with a new line": {"name": "a\nb"},
    "no subject": {"subject": ""},
    "long subject": {"subject": "a" * 255},
    "half a character": {"subject": "\ud800"},
    "empty tenant": {"tenant": ""},
    "unknown role": {"role": "root"},
    "no plan": {"plan": ""},
    "no time": {"lifetime_s": 0},
    "past": {"lifetime_s": -1},
    "not a number": {"lifetime_s": float("nan")},
    "too long": {"lifetime_s": 1e12},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD.keys())
async def test_keys_that_are_not_made(tmp_path: Path, changes: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"name": "ci", "subject": "bob", "role": "developer", "plan": "free"}
    async with opened(f"sqlite:///{tmp_path / 'keys.db'}", tmp_path) as (_, keys):
        with pytest.raises(BadRequest):
            await keys.create(NewApiKey(**asked | changes))
        assert (await keys.page(None, 10)).items == []


async def test_a_scope_that_is_not_known_here_grants_nothing(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path) as (store, keys):
        issued: IssuedApiKey = await keys.create(ASKED)
        await store.write(lambda connection: connection.execute(text("""UPDATE api_keys SET scopes = '["FLY"]'""")))
        found = await keys.verify(issued.secret)
        assert found is not None
        assert found.scopes == frozenset()
