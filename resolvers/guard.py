"""Admission: no operation does anything before its caller was admitted to it, whatever door it came through."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import wraps
from inspect import signature
from typing import Concatenate, Final, ParamSpec, TypeVar

from sandql.core.api_keys import NewApiKey
from sandql.core.errors import QuotaExceeded, RateLimited, SandqlError
from sandql.core.permissions import Act, Kind, Permission
from sandql.core.values import Caller
from sandql.sandboxes.borrow import Sandboxes

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")

ACTS: Final[dict[str, Act]] = {}  # every operation, by its name


class _Guard:
    """What stands before one operation."""

    __slots__ = ("_act", "_id_at", "_id_name", "_of_sandboxes", "_sandbox_at")

    def __init__(
        self, operation: Callable[..., object], kind: Kind | None, permission: Permission | None, audited: bool | None, shown: str | None = None
    ) -> None:
        name = operation.__name__
        if name in ACTS:
            raise RuntimeError(f"two operations are named {name}")
        self._act = ACTS[name] = Act(name, shown or _as_field(name), kind, permission, permission is not None if audited is None else audited)
        given = list(signature(operation).parameters)[2:]
        self._sandbox_at = next((at for at, parameter in enumerate(given) if parameter in ("sandbox_id", "asked")), None)
        self._id_name = next((name for name in ("id_", "owner") if name in given), None)  # of whom an administrator acts for, the name is the id
        self._id_at = None if self._id_name is None else given.index(self._id_name)
        self._of_sandboxes = operation.__module__.endswith(".sandboxes")  # there an id is that of a sandbox

    async def admit(self, sandboxes: Sandboxes, caller: Caller, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        try:
            await sandboxes.access.admit(caller, self._act, *self._target(sandboxes, caller, args, kwargs))
        except SandqlError as error:
            self.refused(sandboxes, caller, error, args, kwargs)
            raise

    def refused(self, sandboxes: Sandboxes, caller: Caller, error: SandqlError, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        _note(sandboxes, caller, self._act, error, self._target(sandboxes, caller, args, kwargs))

    def _target(self, sandboxes: Sandboxes, caller: Caller, args: tuple[object, ...], kwargs: Mapping[str, object]) -> tuple[str | None, str | None]:
        """Which sandbox, and which other thing of an id, an operation is about; of code in a context, its sandbox and the context.

        A key that is to be made has no id yet: what it is for stands in its place.
        """
        at = self._sandbox_at
        sandbox = args[at] if at is not None and at < len(args) else kwargs.get("sandbox_id")
        if isinstance(sandbox, NewApiKey):
            return None, sandbox.purpose
        if sandbox is not None and not isinstance(sandbox, str):
            sandbox, context_id = _place(sandboxes, caller, sandbox)
            if context_id is not None:
                return sandbox, context_id
        at = self._id_at
        id_ = args[at] if at is not None and at < len(args) else kwargs.get(self._id_name or "")
        if not isinstance(id_, str):
            return sandbox, None
        return (id_, None) if self._of_sandboxes else (sandbox, id_)


def refused_later(sandboxes: Sandboxes, caller: Caller, operation: str, asked: object, error: SandqlError) -> None:
    """Note that what an operation began was refused when that one had been answered already. `asked` is what it was asked for."""
    _note(sandboxes, caller, ACTS[operation], error, _place(sandboxes, caller, asked))


def _note(sandboxes: Sandboxes, caller: Caller, act: Act, error: SandqlError, target: tuple[str | None, str | None]) -> None:
    sandboxes.access.refused(caller, act, error, *target)
    if isinstance(error, RateLimited | QuotaExceeded) and sandboxes.metrics is not None and not error.counted:
        error.counted = True  # it may come through the guards of several operations
        sandboxes.metrics.refused(act.kind, error.code)


def _place(sandboxes: Sandboxes, caller: Caller, asked: object) -> tuple[str | None, str | None]:
    """The sandbox and the context in which something is asked for."""
    context_id = getattr(asked, "context_id", None)
    if context_id is not None:
        return sandboxes.sandbox_of_context(caller, context_id), context_id
    return getattr(asked, "sandbox_id", None), None


def _as_field(name: str) -> str:
    """A name as GraphQL writes names."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def guarded(
    kind: Kind | None, permission: Permission | None = None, *, audited: bool | None = None, shown: str | None = None
) -> Callable[
    [Callable[Concatenate[Sandboxes, Caller, Asked], Awaitable[Answer]]], Callable[Concatenate[Sandboxes, Caller, Asked], Awaitable[Answer]]
]:
    """Declare an operation: what it needs, and what it counts as. What needs a permission is audited, unless told otherwise.

    `shown` is its name in a refusal where neither a field nor an address tells it; its own, as GraphQL writes names, when left out.
    """

    def declare(
        operation: Callable[Concatenate[Sandboxes, Caller, Asked], Awaitable[Answer]],
    ) -> Callable[Concatenate[Sandboxes, Caller, Asked], Awaitable[Answer]]:
        guard = _Guard(operation, kind, permission, audited, shown)

        @wraps(operation)
        async def admitted(sandboxes: Sandboxes, caller: Caller, /, *args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
            await guard.admit(sandboxes, caller, args, kwargs)
            try:
                return await operation(sandboxes, caller, *args, **kwargs)
            except SandqlError as error:
                guard.refused(sandboxes, caller, error, args, kwargs)
                raise

        return admitted

    return declare


def guarded_stream(
    kind: Kind | None, permission: Permission | None = None, *, audited: bool | None = None
) -> Callable[
    [Callable[Concatenate[Sandboxes, Caller, Asked], AsyncGenerator[Answer]]],
    Callable[Concatenate[Sandboxes, Caller, Asked], AsyncGenerator[Answer]],
]:
    """Declare an operation that answers with a stream; its caller is admitted when the first item is asked for."""

    def declare(
        operation: Callable[Concatenate[Sandboxes, Caller, Asked], AsyncGenerator[Answer]],
    ) -> Callable[Concatenate[Sandboxes, Caller, Asked], AsyncGenerator[Answer]]:
        guard = _Guard(operation, kind, permission, audited)

        @wraps(operation)
        async def admitted(sandboxes: Sandboxes, caller: Caller, /, *args: Asked.args, **kwargs: Asked.kwargs) -> AsyncGenerator[Answer]:
            await guard.admit(sandboxes, caller, args, kwargs)
            try:
                with sandboxes.access.streams.hold(caller.subject):
                    async with aclosing(operation(sandboxes, caller, *args, **kwargs)) as items:
                        async for item in items:
                            yield item
            except SandqlError as error:
                guard.refused(sandboxes, caller, error, args, kwargs)
                raise

        return admitted

    return declare


def guarded_context(
    kind: Kind | None, permission: Permission | None = None, *, audited: bool | None = None
) -> Callable[
    [Callable[Concatenate[Sandboxes, Caller, Asked], AbstractAsyncContextManager[Answer]]],
    Callable[Concatenate[Sandboxes, Caller, Asked], AbstractAsyncContextManager[Answer]],
]:
    """Declare an operation that is had for as long as a context; its caller is admitted on the way in."""

    def declare(
        operation: Callable[Concatenate[Sandboxes, Caller, Asked], AbstractAsyncContextManager[Answer]],
    ) -> Callable[Concatenate[Sandboxes, Caller, Asked], AbstractAsyncContextManager[Answer]]:
        guard = _Guard(operation, kind, permission, audited)

        @wraps(operation)
        @asynccontextmanager
        async def admitted(sandboxes: Sandboxes, caller: Caller, /, *args: Asked.args, **kwargs: Asked.kwargs) -> AsyncGenerator[Answer]:
            await guard.admit(sandboxes, caller, args, kwargs)
            try:
                with sandboxes.access.streams.hold(caller.subject):
                    async with operation(sandboxes, caller, *args, **kwargs) as opened:
                        yield opened
            except SandqlError as error:
                guard.refused(sandboxes, caller, error, args, kwargs)
                raise

        return admitted

    return declare
