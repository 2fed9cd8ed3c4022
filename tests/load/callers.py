"""What callers do, each for as long as it is left to: one of every kind of thing that a front end does with sandboxes."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from tests.load.ledger import Ledger, Watched
from tests.load.session import Lost, Refused, Session, open_session

_WRITE: Final = "mutation ($id: ID, $path: String!, $content: String!) { writeFile(sandboxId: $id, path: $path, content: $content) }"
_READ: Final = "query ($id: ID, $path: String!) { readFile(sandboxId: $id, path: $path) { content } }"
_RUN: Final = """mutation ($code: String!, $id: ID) { executeCode(code: $code, language: "python", sandboxId: $id) { output outcome stderr } }"""
_START: Final = """mutation ($code: String!, $key: String) {
  startExecution(code: $code, language: "python", idempotencyKey: $key) { id }
}"""
EVENTS: Final = """subscription ($id: ID!, $after: Int) {
  executionEvents(id: $id, after: $after) {
    ... on ExecutionStarted { seq }
    ... on ExecutionOutput { seq text }
    ... on ExecutionCompleted { seq result { outcome } }
  }
}"""
_CREATE: Final = """mutation ($key: String) { createSandbox(timeout: 600000, idempotencyKey: $key) { id status } }"""
_DESTROY: Final = "mutation ($id: ID!) { destroySandbox(id: $id) }"
_TERMINAL: Final = """mutation ($id: ID) { createTerminal(sandboxId: $id, command: ["/bin/sh"]) { id } }"""
_TYPE: Final = "mutation ($id: ID!, $data: String!) { terminalInput(id: $id, data: $data) }"
_SCREEN: Final = """subscription ($id: ID!, $after: ByteCount) {
  terminalOutput(id: $id, after: $after) { ... on TerminalOutput { offset data truncated } ... on TerminalEnded { offset } }
}"""
_CLOSE: Final = "mutation ($id: ID!) { closeTerminal(id: $id) }"
_CONTEXT: Final = """mutation ($id: ID) { createContext(sandboxId: $id, language: "python") { id } }"""
_CELL: Final = """mutation ($context: ID!, $code: String!) {
  executeCode(contextId: $context, code: $code, language: "python") { outcome stderr results { mimeType data } }
}"""
_CLOSE_CONTEXT: Final = "mutation ($id: ID!) { closeContext(id: $id) }"
_CHANGES: Final = """subscription ($id: ID) { fileChanges(sandboxId: $id, path: "", recursive: true) { overflow changes { path } } }"""

_REMOVE: Final = "mutation ($id: ID, $path: String!) { removeFile(sandboxId: $id, path: $path) }"
_BUSY: Final = {"RESOURCE_ERROR", "RATE_LIMITED"}

_turns: Final = itertools.count()  # so that no key comes twice
_LINES: Final = 200
_LOSE: Final = 0.3  # how often a connection is lost on purpose


@dataclass(slots=True)
class Caller:
    """One client: its connection of the moment, and its runs whose end it has not seen."""

    session: Session
    ledger: Ledger
    chance: random.Random
    unfinished: list[Watched] = field(default_factory=list[Watched])


Turn = Callable[[Caller], Awaitable[None]]


def printing(token: str) -> tuple[str, str]:
    """A program that prints lines over some time, and all that it prints."""
    code = f"import time\nfor n in range({_LINES}):\n    print(f'{token} {{n}}', flush=True)\n    if n % 20 == 0: time.sleep(0.01)"
    return code, "".join(f"{token} {number}\n" for number in range(_LINES))


async def files(caller: Caller) -> None:
    """Write files of the home and read them back."""
    session, ledger, chance = caller.session, caller.ledger, caller.chance
    path = f"load/{chance.randrange(200)}.txt"
    if ("home", path) in ledger.files and len(ledger.files["home", path]) > 1:
        return  # somebody else is writing it, or it is not known what it holds
    content = f"{chance.random()} " * chance.randrange(1, 400)
    ledger.writing("home", path, content)
    await session.call(_WRITE, id="home", path=path, content=content)
    ledger.written("home", path, content)
    answer = await session.call(_READ, id="home", path=path)
    ledger.check_file("home", path, answer["readFile"]["content"])


async def fresh(caller: Caller) -> None:
    """Run a program in a fresh sandbox."""
    session, ledger, chance = caller.session, caller.ledger, caller.chance
    number = chance.randrange(10**9)
    answer = (await session.call(_RUN, id=None, code=f"print({number} + 1)"))["executeCode"]
    if answer["output"] != f"{number + 1}\n" and answer["outcome"] == "COMPLETED":
        ledger.wrong.append(f"a fresh run answered {answer}")


async def runs(caller: Caller) -> None:
    """Start a run and watch it, over several connections where they get lost."""
    session, ledger, chance = caller.session, caller.ledger, caller.chance
    token = f"{chance.randrange(10**9)}"
    code, text = printing(token)
    id_ = (await session.call(_START, code=code, key=f"key-{token}"))["startExecution"]["id"]
    run = ledger.runs[id_] = Watched(id_, text)
    caller.unfinished.append(run)
    await follow(session, ledger, run, lose_at=chance.randrange(_LINES) if chance.random() < _LOSE else None)
    caller.unfinished.remove(run)


async def follow(session: Session, ledger: Ledger, run: Watched, *, lose_at: int | None = None, may_be_lost: bool = False) -> None:
    """Take the events of a run behind those that were delivered, up to its end; or lose the connection after so many."""
    after = run.seqs[-1] if run.seqs else 0
    async with aclosing(session.watch(EVENTS, id=run.id, after=after)) as results:
        async for data in results:
            event = data["executionEvents"]
            ledger.delivered(run, event["seq"], event.get("text", ""))
            if "result" in event:
                ledger.ended(run, event["result"]["outcome"], may_be_lost=may_be_lost)
            elif lose_at is not None and len(run.seqs) > lose_at:
                session.drop()
                raise Lost
    if run.outcome is None:
        ledger.wrong.append(f"{run.id}: its events ended without the last one")


async def sandboxes(caller: Caller) -> None:
    """Make a sandbox, keep a file in it, run a program that reads it, and mostly destroy it."""
    session, ledger, chance = caller.session, caller.ledger, caller.chance
    key = f"sandbox-{chance.randrange(10**12)}"
    id_ = (await session.call(_CREATE, key=key))["createSandbox"]["id"]
    ledger.sandboxes.add(id_)
    content = f"{chance.random()}"
    ledger.writing(id_, "kept.txt", content)
    await session.call(_WRITE, id=id_, path="kept.txt", content=content)
    ledger.written(id_, "kept.txt", content)
    answer = (await session.call(_RUN, id=id_, code="print(open('kept.txt').read(), end='')"))["executeCode"]
    if answer["outcome"] == "COMPLETED" and answer["output"] != content:
        ledger.wrong.append(f"{id_}: the program read {answer['output']!r}")
    if chance.random() < 0.9:
        ledger.sandboxes.discard(id_)
        ledger.files.pop((id_, "kept.txt"), None)
        await session.call(_DESTROY, id=id_)
        ledger.destroyed.add(id_)


async def terminals(caller: Caller) -> None:
    """Type into a terminal and wait for what it answers, also after a reader has left."""
    session, ledger, chance = caller.session, caller.ledger, caller.chance
    id_ = (await session.call(_TERMINAL, id="home"))["createTerminal"]["id"]
    after: int | None = None
    screen = ""
    for _ in range(3):
        token = f"{chance.randrange(10**9)}"
        await session.call(_TYPE, id=id_, data=f"echo $(({token} + 1))\n")
        async with aclosing(session.watch(_SCREEN, id=id_, after=after)) as results:
            async for data in results:
                event = data["terminalOutput"]
                if event.get("truncated"):
                    ledger.wrong.append(f"{id_}: output was lost")
                screen += event.get("data", "")
                after = event["offset"]
                if f"{int(token) + 1}\r" in screen:
                    break
    await session.call(_CLOSE, id=id_)


async def contexts(caller: Caller) -> None:
    """Keep a variable in a context."""
    session, ledger, chance = caller.session, caller.ledger, caller.chance
    id_ = (await session.call(_CONTEXT, id="home"))["createContext"]["id"]
    value = chance.randrange(10**9)
    await session.call(_CELL, context=id_, code=f"kept = {value}")
    for _ in range(3):
        answer = (await session.call(_CELL, context=id_, code="kept += 1\nkept"))["executeCode"]
        value += 1
        if {"mimeType": "text/plain", "data": str(value)} not in answer["results"]:
            ledger.wrong.append(f"{id_}: {answer} where {value} was due")
    await session.call(_CLOSE_CONTEXT, id=id_)


async def changes(caller: Caller) -> None:
    """Be told of files that are written while one watches."""
    session, chance = caller.session, caller.chance
    paths = iter(f"watched/{chance.randrange(10**9)}.txt" for _ in range(100))
    path = next(paths)
    watching = asyncio.ensure_future(_until_told(session, lambda: path))
    try:
        while not watching.done():  # a watch begins at some moment after it was asked for: what is written before it is not told
            path = next(paths)
            await session.call(_WRITE, id="home", path=path, content="x")
            await session.call(_REMOVE, id="home", path=path)
            await asyncio.wait([watching], timeout=0.5)
        await watching
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def _until_told(session: Session, path: Callable[[], str]) -> None:
    async with aclosing(session.watch(_CHANGES, id="home")) as results:
        async for data in results:
            told = data["fileChanges"]
            if told["overflow"] or any(change["path"] == path() for change in told["changes"]):
                return


KINDS: Final[tuple[Turn, ...]] = (files, fresh, runs, sandboxes, terminals, contexts, changes)


async def call_for_ever(url: str, ledger: Ledger, number: int, *, may_be_lost: bool = False) -> None:
    """Take turns of one kind until cancelled. With `may_be_lost` the server may be killed meanwhile, and runs with it."""
    turn, chance = KINDS[number % len(KINDS)], random.Random(f"{os.getpid()} {number} {next(_turns)}")
    unfinished: list[Watched] = []
    while True:
        try:
            async with open_session(url) as session:
                caller = Caller(session, ledger, chance, unfinished)
                while unfinished:
                    await follow(session, ledger, unfinished[0], may_be_lost=may_be_lost)
                    unfinished.pop(0)
                while True:
                    await turn(caller)
                    ledger.count(turn.__name__)
        except Lost:
            ledger.count("lost")
            await asyncio.sleep(0.01)
        except Refused as refused:
            ledger.count(refused.code)
            if refused.code not in _BUSY:
                ledger.wrong.append(f"{turn.__name__}: {refused}")
                return
