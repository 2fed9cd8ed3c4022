"""Runs an attack and says what is wrong with the way it went."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import TypeVar

from sandql.core.errors import BadRequest, PayloadTooLarge, SandqlError
from sandql.core.values import Execution, FileType, Outcome, RunRequest
from sandql.providers.base import Sandbox
from tests.attacks.corpus import Attack
from tests.attacks.house import House

_T = TypeVar("_T")

_READ_BYTES = 1 << 20
_ANSWER_S = 10.0
_HUGE_ARGS = tuple(f"{index}" + "\u00e9\n'\"$(id)" * 14 for index in range(250))
_HUGE_ENV = {f"NAME_{index}": "\u00e9\n'\"$(id)" * 40 for index in range(120)}


async def perform(house: House, attack: Attack) -> list[Execution]:
    """Run the attack as its header says, and judge each of its runs. Returns them."""
    phases, together = attack.words("phases"), attack.words("together")
    if phases:
        runs = [await _one(house, attack, (phase,)) for phase in phases]
    elif together:
        runs = list(await asyncio.gather(*(_one(house, attack, (role,)) for role in together)))
    elif "between-runs" in attack.header:
        runs = [await _one(house, attack, ()) for _ in range(6)]
        _assert_differ(runs)
    else:
        try:
            runs = [await _one(house, attack, ())]
        except (BadRequest, PayloadTooLarge) as refusal:
            if "may-refuse" not in attack.header:
                raise
            assert not any(secret.decode() in refusal.message for secret in house.host.secrets)
            return []
    for run in runs:
        house.assert_unseen(run)
        _assert_contained(attack, run)
        _assert_artifacts(attack, run)
    return runs


async def _one(house: House, attack: Attack, args: tuple[str, ...]) -> Execution:
    request = _request(house, attack, args)
    began = time.monotonic()
    if "home" in attack.header:
        async with house.provider.home("attack-" + attack.name.replace("/", "-")) as sandbox:
            execution = await _in_home(house, attack, sandbox, request)
    else:
        async with house.provider.fresh() as sandbox:
            execution = await asyncio.wait_for(sandbox.run(request), attack.within_ms / 1000 + 20)
    elapsed_ms = (time.monotonic() - began) * 1000
    assert elapsed_ms < attack.within_ms, f"the answer took {elapsed_ms:.0f} ms, and {attack.within_ms} ms is the most"
    return execution


def _request(house: House, attack: Attack, args: tuple[str, ...]) -> RunRequest:
    env: dict[str, str] = {}
    for word in attack.words("env"):
        name, _, value = word.partition("=")
        env |= _HUGE_ENV if name == "{huge}" else {name: value.replace("${IFS}", " ")}
    for word in attack.words("args"):
        args += _HUGE_ARGS if word == "{huge}" else (house.host.fill_in(word),)
    return RunRequest(
        language=attack.language,
        code=attack.code,
        stdin=b"x" * int(attack.header.get("stdin-bytes", "0")),
        args=args,
        env=env,
        files=attack.files,
        limits=attack.limits,
        artifacts=tuple(attack.words("artifacts")),
    )


def _assert_contained(attack: Attack, run: Execution) -> None:
    said = run.stdout.decode(errors="replace") + run.stderr.decode(errors="replace")
    escapes = [line for line in said.splitlines() if line.startswith("ESCAPED")]
    assert not escapes, f"{attack.name} says: {escapes[0]}"
    how = f"{run.outcome}, exit code {run.exit_code}, signal {run.signal}; stdout ends {run.stdout[-300:]!r}, stderr ends {run.stderr[-600:]!r}"
    if "expect" not in attack.header:
        assert run.outcome is Outcome.COMPLETED, how
        assert run.stdout.rstrip().endswith(b"CONTAINED"), how
        return
    for clause in attack.header["expect"].split("; "):
        match clause.split(" ", 2):
            case ["outcome", "in", names]:
                assert run.outcome in names.split(","), how
            case ["exit", code]:
                assert run.exit_code == int(code), how
            case ["signal", name]:
                assert run.signal == name, how
            case ["stdout", "has", text]:
                assert text in said, how
            case _:
                raise ValueError(f"{attack.name}: expect does not know {clause!r}")


def _assert_differ(runs: list[Execution]) -> None:
    states = [line for run in runs for line in run.stdout.decode().splitlines() if line.startswith("STATE ")]
    assert len(states) >= 2 * len(runs)
    twice = {line for line in states if states.count(line) > 1}
    assert not twice, f"two runs drew the same: {sorted(twice)}"


def _assert_artifacts(attack: Attack, run: Execution) -> None:
    allowed = attack.words("brings")
    came = {artifact.path for artifact in run.artifacts}
    unasked = {path for path in came if not any(fnmatchcase(path, name.removesuffix("?")) for name in allowed)}
    assert not unasked, f"artifacts came back that must not: {sorted(unasked)}"
    missing = [name for name in allowed if not name.endswith("?") and "*" not in name and name not in came]
    assert not missing, f"artifacts are missing: {missing}"
    for artifact in run.artifacts:
        assert b"root:" not in artifact.content, f"{artifact.path} is the system's"
        assert _is_text(artifact.path), f"{artifact.path!r} cannot be sent as JSON"
    most = int(attack.header.get("most-bytes", 1 << 26))
    assert sum(len(artifact.content) for artifact in run.artifacts) <= most


async def _in_home(house: House, attack: Attack, sandbox: Sandbox, request: RunRequest) -> Execution:
    running = asyncio.ensure_future(sandbox.run(request))
    during = re.fullmatch(r"reads (.*) lists (.*)", attack.header.get("during", ""))
    if during:
        while not running.done():
            for path in during[1].split():
                content = await _ask(lambda path=path: sandbox.files.read(path, max_bytes=_READ_BYTES))
                assert content in (None, b"", b"of the home"), f"reading {path} gave {content!r}"
            for path in during[2].split():
                await _list(sandbox, path)
    execution = await asyncio.wait_for(running, attack.within_ms / 1000 + 20)
    for path in attack.words("lists"):
        await _list(sandbox, "" if path == "." else path)
    for path in attack.words("reads"):
        content = await _ask(lambda path=path: sandbox.files.read(path, max_bytes=_READ_BYTES))
        assert content is None or (b"root:" not in content and not any(secret in content for secret in house.host.secrets)), f"read {path}"
    for path in attack.words("writes"):
        await _ask(lambda path=path: sandbox.files.write(path, b"written by the server"))
    return execution


async def _ask(act: Callable[[], Awaitable[_T]]) -> _T | None:
    """The answer, or None for a refusal. Anything else than these two, or none in time, is a failure."""
    try:
        return await asyncio.wait_for(act(), _ANSWER_S)
    except SandqlError as refusal:
        assert refusal.code != "INTERNAL_ERROR"
        return None


async def _list(sandbox: Sandbox, path: str) -> None:
    entries = await _ask(lambda: sandbox.files.list(path, recursive=True)) or []
    links = tuple(entry.path + "/" for entry in entries if entry.type is FileType.SYMLINK)
    for entry in entries:
        assert _is_text(entry.path), f"{entry.path!r} cannot be sent as JSON"
        assert not links or not entry.path.startswith(links), f"{entry.path} lies behind a link"


def _is_text(path: str) -> bool:
    try:
        return json.loads(json.dumps(path, ensure_ascii=False).encode()) == path
    except UnicodeEncodeError:
        return False
