"""What the tests of resolvers share: a provider that only knows languages."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from sandql.core.settings import Settings, load_settings
from sandql.core.values import Caller, Isolation, Language, RunRequest
from sandql.providers.base import Health, Sandbox
from sandql.resolvers.bounds import check_run
from sandql.resolvers.operations import ExecuteCode, RunCommand


class Languages:
    """A provider with two languages; it has no sandbox to give, so a test that reaches for one fails."""

    name = "local"

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    def languages(self) -> Sequence[Language]:
        return (Language("python", ("py", "python3"), "3"), Language("bash", ("sh",), "5"))

    def isolation(self) -> Isolation:
        raise AssertionError("nothing is run here")

    def health(self) -> Health:
        return Health(True, "")

    def fresh(self) -> AbstractAsyncContextManager[Sandbox]:
        raise AssertionError("nothing is run here")

    def home(self, owner: str) -> AbstractAsyncContextManager[Sandbox]:
        raise AssertionError("nothing is run here")


def check(asked: ExecuteCode | RunCommand, settings: Settings | None = None, caller: Caller | None = None) -> RunRequest:
    """What `check_run` makes of it."""
    return check_run(caller or Caller(), asked, Languages(), settings or load_settings())
