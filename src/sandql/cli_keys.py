"""`sandql keys`: making, listing, revoking and rotating API keys, in the database that the settings name."""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime

from sandql.access.api_keys import ApiKeys
from sandql.access.audit import open_audit
from sandql.access.plans import read_plans
from sandql.access.roles import Roles
from sandql.core.access_file import read_access_file
from sandql.core.api_keys import ApiKey, IssuedApiKey, NewApiKey
from sandql.core.errors import SandqlError
from sandql.core.permissions import Permission
from sandql.core.settings import Settings, SettingsError
from sandql.core.values import Caller
from sandql.store.store import open_store

_PAGE = 100
_USAGE = 2
_OPTIONS = {  # of what is wrong, by its name in GraphQL
    "id": "ID",
    "name": "NAME",
    "subject, tenant": "--subject, --tenant",
    "expiresIn": "--expires-in",
    **{name: f"--{name}" for name in ("role", "plan", "grace")},
}
_CLI = "cli"  # what stands in the audit log for a role and a credential


def create(settings: Settings, asked: NewApiKey) -> int:
    """Make a key, print it on stdout and what to know of it on stderr, and return the code to exit with."""

    async def work(keys: ApiKeys) -> None:
        _print_issued(await keys.create(asked))
        if not settings.requires_credentials:
            print("sandql: who comes without a key may do everything all the same: set SANDQL_AUTH=required", file=sys.stderr)

    return _run(settings, work, "create_api_key", asked.purpose)


def show(settings: Settings) -> int:
    """Print the keys, newest first, and return the code to exit with."""

    async def work(keys: ApiKeys) -> None:
        after: str | None = None
        print(f"{'id':<16}  {'state':<7}  {'role':<12}  {'plan':<10}  {'made':<16}  {'expires':<16}  {'last used':<16}  name, subject, scopes")
        while True:
            page = await keys.page(None, _PAGE, after)
            for key in page.items:
                print(_line(key))
            if not page.has_next:
                break
            after = page.end_cursor
        if after is None and not page.items:
            where = "the database of SANDQL_DATABASE_URL" if settings.database_url else settings.state_dir
            print(f"sandql: there are no keys in {where} yet", file=sys.stderr)

    return _run(settings, work)


def revoke(settings: Settings, id_: str) -> int:
    """Revoke a key, say so, and return the code to exit with."""

    async def work(keys: ApiKeys) -> None:
        key = await keys.revoke(id_, None)
        print(f"{key.id} ({key.name}) is revoked; what it has open ends within 5 seconds")

    return _run(settings, work, "revoke_api_key", id_)


def rotate(settings: Settings, id_: str, grace_s: float) -> int:
    """Make a key in the place of another, print it, and return the code to exit with."""

    async def work(keys: ApiKeys) -> None:
        _print_issued(await keys.rotate(id_, None, grace_s))

    return _run(settings, work, "rotate_api_key", id_)


def scopes_of(names: list[str] | None) -> frozenset[Permission] | None:
    """Scopes by their names, in any case of letters; None for none. Raises ValueError, whose message says which there are."""
    if not names:
        return None
    known = {permission.value: permission for permission in Permission}
    for name in names:
        if name.upper() not in known:
            raise ValueError(f"--scope: must be one of {', '.join(known)}, got {name[:64]!r}")
    return frozenset(known[name.upper()] for name in names)


def _run(settings: Settings, work: Callable[[ApiKeys], Awaitable[None]], operation: str | None = None, id_: str | None = None) -> int:
    """Do something with the keys; what changes one is an operation of the audit log, under the name that it has for callers of the server."""

    async def run() -> None:
        written = read_access_file(settings.access_file)
        # A server of an older version may be using it.
        async with open_store(settings.database_url, settings.state_dir, upgrade=False) as store:
            keys = ApiKeys(store, Roles(written.roles), read_plans(written.rates))
            if operation is None or (audit := open_audit(settings)) is None:
                await work(keys)
                return
            with closing(audit):
                caller = Caller(subject=_user(), role=_CLI, credential=_CLI)
                audit.admitted(caller, operation, None, id_)
                try:
                    await work(keys)
                except SandqlError as error:
                    audit.refused(caller, operation, None, id_, error)
                    raise

    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        print(f"sandql: SANDQL_STATE_DIR: {str(settings.state_dir)!r} cannot be used: {error.strerror}", file=sys.stderr)
        return _USAGE
    try:
        asyncio.run(run())
    except SandqlError as error:
        name, _, said = error.message.partition(": ")
        print(f"sandql: {_OPTIONS[name]}: {said}" if name in _OPTIONS else f"sandql: {error.message}", file=sys.stderr)
        return _USAGE
    except SettingsError as error:
        print(f"sandql: {error}", file=sys.stderr)
        return _USAGE
    return 0


def _user() -> str:
    """The user of this machine who runs the command."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # as in many containers
        return f"uid {uid}"


def _print_issued(issued: IssuedApiKey) -> None:
    print(f"sandql: {issued.key.id} ({issued.key.name}) is made; this is the key, which is shown only now:", file=sys.stderr)
    try:
        print(issued.secret, flush=True)
    except OSError:
        print(f"sandql: it could not be shown, and nobody has it: sandql keys revoke {issued.key.id}", file=sys.stderr)
        raise


def _line(key: ApiKey) -> str:
    now = datetime.now(UTC).timestamp()
    state = "valid" if key.is_valid(now) else "revoked" if key.revoked_at is not None else "expired"
    owner = key.subject if key.tenant is None else f"{key.tenant}/{key.subject}"
    scopes = "all" if key.scopes is None else " ".join(sorted(key.scopes)) or "none"
    times = "  ".join(f"{_moment(moment):<16}" for moment in (key.created_at, key.expires_at, key.last_used_at))
    return f"{key.id:<16}  {state:<7}  {key.role:<12}  {key.plan:<10}  {times}  {key.name}, {owner}, {scopes}"


def _moment(unix_s: float | None) -> str:
    return "never" if unix_s is None else datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M")
