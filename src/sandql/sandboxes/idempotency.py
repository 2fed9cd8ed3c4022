"""Keys by which a caller may say the same twice and have it done once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncConnection

from sandql.core.errors import BadRequest, Conflict
from sandql.core.tasks import to_its_end
from sandql.core.values import Caller
from sandql.store import key_rows
from sandql.store.store import Store

MAX_KEY_CHARS = 255


@dataclass(frozen=True, slots=True)
class Claim:
    """The id of what is to be started, or was started before with the same key: then it is not `new`."""

    id: str
    new: bool


class Keys:
    """The keys of all callers. One object for a database in this process."""

    def __init__(self, database: Store) -> None:
        self._database = database
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()  # of those who come with the same key, in order

    @asynccontextmanager
    async def once(self, caller: Caller, key: str | None, operation: str, arguments: object, make_id: Callable[[], str]) -> AsyncGenerator[Claim]:
        """Start in the block what the claim says, if it is new; when the block raises, nothing was started and the key is free again.

        When the block is cancelled, nobody knows whether it was: the key stays, and so it does when the server ends in the block. Whoever
        gets a claim that is not new therefore looks whether there is something of that id, and starts it where there is not.
        Who comes with the same key meanwhile waits for the block's end. Without a key every claim is new.

        Raises:
            Conflict: the key was used for another operation, or with other arguments.
            BadRequest: it is no acceptable key.
        """
        if key is None:
            yield Claim(make_id(), True)
            return
        if not 1 <= len(key) <= MAX_KEY_CHARS or not key.isprintable():
            raise BadRequest(f"idempotencyKey: must be 1 to {MAX_KEY_CHARS} printable characters, got {len(key)}")
        async with self._turn(caller, key):
            row = key_rows.KeyRow(fingerprint(operation, arguments), make_id())
            found = await self._claim(caller.subject, key, row)
            if found is not None:
                if found.fingerprint != row.fingerprint:
                    raise Conflict("idempotencyKey: was used for something else; use another key, or the same arguments")
                yield Claim(found.target, False)
                return
            try:
                yield Claim(row.target, True)
            except Exception:
                await to_its_end(self._free(caller.subject, key, row.target))
                raise

    async def point(self, caller: Caller, key: str, target: str) -> None:
        """Note that a key stands for something that was there already."""
        await self._database.write(lambda connection: key_rows.point(connection, caller.subject, key, target))

    async def all_asked(self, caller: Caller, key: str) -> None:
        """Wait until all blocks for a key have ended that were begun or waited for."""
        async with self._turn(caller, key):
            pass

    def _turn(self, caller: Caller, key: str) -> asyncio.Lock:
        return self._turns.setdefault((caller.subject, key), asyncio.Lock())

    async def _claim(self, owner: str, key: str, row: key_rows.KeyRow) -> key_rows.KeyRow | None:
        async def claim(connection: AsyncConnection) -> key_rows.KeyRow | None:
            while not await key_rows.claim(connection, owner, key, row, time.time()):
                if (found := await key_rows.find(connection, owner, key)) is not None:
                    return found  # else another server has just let go of it
            return None

        return await self._database.write(claim)

    async def _free(self, owner: str, key: str, target: str) -> None:
        await self._database.write(lambda connection: key_rows.free(connection, owner, key, target))


def fingerprint(operation: str, arguments: object) -> str:
    """What is the same for the same operation with the same arguments, and for no other."""
    return hashlib.sha256(json.dumps([operation, arguments], sort_keys=True, default=str).encode("utf-8", "surrogatepass")).hexdigest()
