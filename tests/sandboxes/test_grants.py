"""What a role does not grant happens at no sandbox: runs, commands, terminals, contexts, kept sandboxes, files."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from sandql.core.errors import Forbidden
from sandql.core.permissions import EVERYTHING, Permission, Permissions, ResourceLimits
from sandql.core.values import HOME, Caller, MiB
from sandql.resolvers import catalog, code, contexts, files, sandboxes, terminals
from sandql.resolvers.operations import CreateContext, CreateSandbox, CreateTerminal, ExecuteCode, RunCommand
from sandql.sandboxes.borrow import Sandboxes
from tests.support.house import ALICE, open_house

_ELSEWHERE = replace(ALICE, role="remote", permissions=replace(EVERYTHING, providers=frozenset({"e2b"})))
_PYTHON = replace(ALICE, role="student", permissions=replace(EVERYTHING, languages=frozenset({"python"})))
_SMALL = replace(ALICE, role="small", permissions=replace(EVERYTHING, limits=ResourceLimits(1, 64 * MiB, 1_500, 8)))
_VIEWER = replace(ALICE, role="viewer", permissions=Permissions())


@pytest.fixture
async def house() -> AsyncGenerator[Sandboxes]:
    async with open_house() as opened:
        yield opened


async def _counts(house: Sandboxes) -> tuple[int, ...]:
    durable = house.durable
    page = await durable.kept.page(ALICE, 100, None, (), {})
    ran = await durable.executions.page(ALICE, 100, None, None, None)
    return len(page.items), len(ran.items), len(durable.terminals.list(ALICE, None)), len(durable.contexts.list(ALICE, None))


@pytest.mark.parametrize("caller", [_ELSEWHERE, _VIEWER], ids=["other provider", "viewer"])
async def test_nothing_is_done_at_a_provider_that_is_not_granted(house: Sandboxes, caller: Caller) -> None:
    kept = await sandboxes.create_sandbox(house, ALICE, CreateSandbox())
    context = await contexts.create_context(house, ALICE, CreateContext("python", kept.id))
    before = await _counts(house)
    for where in (None, HOME, kept.id):
        with pytest.raises(Forbidden):
            await code.execute(house, caller, ExecuteCode("open('mark', 'w')", "python", sandbox_id=where))
        with pytest.raises(Forbidden):
            await code.execute(house, caller, RunCommand(line="touch mark", sandbox_id=where))
        with pytest.raises(Forbidden):
            await code.execute(house, caller, ExecuteCode("open('mark', 'w')", "python", sandbox_id=where), "key")
        with pytest.raises(Forbidden):
            await code.start(house, caller, ExecuteCode("open('mark', 'w')", "python", sandbox_id=where))
    for where in (HOME, kept.id):
        with pytest.raises(Forbidden):
            await files.write_file(house, caller, "mark", "", sandbox_id=where)
        with pytest.raises(Forbidden):
            await files.list_files(house, caller, "", sandbox_id=where)
        with pytest.raises(Forbidden):
            await terminals.create_terminal(house, caller, CreateTerminal(where))
        with pytest.raises(Forbidden):
            await contexts.create_context(house, caller, CreateContext("python", where))
    with pytest.raises(Forbidden):
        await code.execute(house, caller, ExecuteCode("open('mark', 'w')", "python", context_id=context.id))
    with pytest.raises(Forbidden):
        await contexts.restart_context(house, caller, context.id)
    with pytest.raises(Forbidden):
        await sandboxes.create_sandbox(house, caller, CreateSandbox())
    with pytest.raises(Forbidden):
        await sandboxes.extend_sandbox(house, caller, kept.id, 1_000)
    assert await _counts(house) == before
    assert await files.list_files(house, ALICE, "") == []
    assert await files.list_files(house, ALICE, "", sandbox_id=kept.id) == []


async def test_a_refusal_names_what_is_granted(house: Sandboxes) -> None:
    with pytest.raises(Forbidden, match="'local'; it grants: e2b"):
        await code.execute(house, _ELSEWHERE, ExecuteCode("", "python"))
    with pytest.raises(Forbidden, match="EXECUTE_CODE"):
        await code.execute(house, _VIEWER, ExecuteCode("", "python"))


async def test_a_caller_with_some_languages_has_no_other_way_to_programs(house: Sandboxes) -> None:
    assert (await code.execute(house, _PYTHON, ExecuteCode("print(1)", "python"))).stdout == b"1\n"
    terminal = await terminals.create_terminal(house, ALICE, CreateTerminal())
    with pytest.raises(Forbidden):
        await code.execute(house, _PYTHON, RunCommand(line="touch mark", sandbox_id=HOME))
    with pytest.raises(Forbidden):
        await terminals.create_terminal(house, _PYTHON, CreateTerminal())
    with pytest.raises(Forbidden):
        await terminals.type_into(house, _PYTHON, terminal.id, "touch mark\n", "UTF8")
    with pytest.raises(Forbidden):
        await contexts.create_context(house, _PYTHON, CreateContext("bash"))
    await terminals.close_terminal(house, ALICE, terminal.id)
    assert [entry.path for entry in await files.list_files(house, ALICE, "") if entry.path == "mark"] == []


async def test_a_caller_sees_what_it_may_use(house: Sandboxes) -> None:
    assert catalog.offered_providers(house, _ELSEWHERE) == []
    (offered,) = catalog.offered_providers(house, _PYTHON)
    assert [language.name for language in offered.languages] == ["python"]
    assert [language.name for language in catalog.find_provider(house, _PYTHON).languages] == ["python"]
    with pytest.raises(Forbidden):
        catalog.find_provider(house, _ELSEWHERE)
    assert len(catalog.list_providers(house)) == 1


async def test_a_sandbox_that_was_wider_is_no_way_to_more(house: Sandboxes) -> None:
    kept = await sandboxes.create_sandbox(house, ALICE, CreateSandbox())
    ran = await code.execute(house, _SMALL, ExecuteCode("x = bytearray(200_000_000)\nprint('held')", "python", sandbox_id=kept.id))
    assert b"held" not in ran.stdout
    narrow = await sandboxes.create_sandbox(house, _SMALL, CreateSandbox())
    assert (narrow.spec.limits.memory_bytes, narrow.spec.limits.processes, narrow.spec.limits.cpu_ms) == (64 * MiB, 8, 1_500)


async def test_a_terminal_ends_after_the_time_that_is_granted(house: Sandboxes) -> None:
    terminal = await terminals.create_terminal(house, _SMALL, CreateTerminal(command=("sleep", "60")))
    pieces = [piece async for piece in terminals.watch_terminal(house, _SMALL, terminal.id, 0)]
    assert pieces
    found = await terminals.find_terminal(house, _SMALL, terminal.id)
    assert found.end is not None
    assert found.end.exit_code != 0


async def test_a_viewer_may_look(house: Sandboxes) -> None:
    kept = await sandboxes.create_sandbox(house, ALICE, CreateSandbox())
    assert (await sandboxes.find_sandbox(house, _VIEWER, kept.id)).id == kept.id
    assert Permission.ACCESS_FILES not in _VIEWER.permissions.allowed
