"""`sandql doctor`: what this host has for running code, up to a program that is really run."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from sandql.core.errors import SandqlError
from sandql.core.settings import Settings, load_settings
from sandql.core.values import Execution, Language, Outcome, RunRequest
from sandql.providers.local.findings import Finding, look_at_host
from sandql.providers.local.provider import LocalProvider

__all__ = ["Finding", "examine"]


def examine(settings: Settings | None = None) -> list[Finding]:
    """Look at everything that a cell needs, and last run a program in one. Takes a second; must not be called on an event loop.

    Raises:
        SettingsError: a setting is unknown or out of its bound.
    """
    chosen = settings or load_settings()
    found = look_at_host(chosen)
    execution, languages = _try_engine(chosen)
    return [*found, _languages(languages), _first_run(execution, found)]


def _languages(languages: Sequence[Language]) -> Finding:
    detail = ", ".join(f"{language.name} {language.version}" for language in languages) or "none"
    return Finding("languages", bool(languages), detail, "Python is always there when the engine starts; see the other findings.")


def _first_run(execution: Execution | str, before: list[Finding]) -> Finding:
    causes = [finding.name for finding in before if finding.required and not finding.ok]
    mend = (
        f"First mend: {', '.join(causes)}."
        if causes
        else "This is not a known cause: start the server with SANDQL_LOG_LEVEL=debug and read what it says."
    )
    if isinstance(execution, str):
        return Finding("a run of print(1)", False, "refused, for the reasons above" if causes else execution, mend)
    fine = execution.outcome is Outcome.COMPLETED and execution.stdout == b"1\n"
    said = (
        f"isolation {execution.isolation.level}, {execution.wall_ms} ms"
        if fine
        else f"{execution.outcome}, {execution.stderr.decode(errors='replace')!r}"
    )
    return Finding("a run of print(1)", fine, said, mend)


def _try_engine(settings: Settings) -> tuple[Execution | str, Sequence[Language]]:
    """Start the engine beside a server that may be running, in a folder of its own, and run a program."""
    with tempfile.TemporaryDirectory(prefix="sandql-doctor-") as folder:
        small = settings.model_copy(update={"state_dir": Path(folder), "pool_size": 1, "node_pool_size": 0, "program_pool_size": 0})
        return asyncio.run(_run_once(LocalProvider(small)))


async def _run_once(provider: LocalProvider) -> tuple[Execution | str, Sequence[Language]]:
    async with AsyncExitStack() as stack:
        stack.push_async_callback(provider.aclose)
        try:
            await provider.start()
            sandbox = await stack.enter_async_context(provider.fresh())
            return await sandbox.run(RunRequest("python", b"print(1)")), provider.languages()
        except (SandqlError, OSError) as error:
            return str(error), provider.languages()
