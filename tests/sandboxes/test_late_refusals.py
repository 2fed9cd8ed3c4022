"""What is refused when nobody waits for it any more is noted as any other refusal is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandql.core.values import Caller, Outcome
from sandql.resolvers import code, contexts
from sandql.resolvers.operations import CreateContext, ExecuteCode
from tests.support.executions import end_of, watched
from tests.support.house import open_house

pytestmark = pytest.mark.unprivileged

_ALICE = Caller("alice", plan="two")


async def test_queued_code_that_the_quota_ends_is_in_the_audit_log_and_counted(tmp_path: Path) -> None:
    access, state = tmp_path / "access.toml", tmp_path / "state"
    state.mkdir()
    access.write_text("[plans.two.quota]\nmaxExecutions = 2\n")
    async with open_house(state, access_file=access, metrics_public=True) as house:
        context = await contexts.create_context(house, _ALICE, CreateContext("python"))

        async def start(source: str) -> str:
            return await code.start(house, _ALICE, ExecuteCode(source, "python", context_id=context.id))

        await start("import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.01)")
        queued = await start("print('ran')")
        assert (await code.execute(house, _ALICE, ExecuteCode("open('go', 'w').close()", "python", sandbox_id="home"))).outcome is Outcome.COMPLETED
        end = end_of(await watched(house, queued)).execution
        assert (end.outcome, end.stdout) == (Outcome.SANDBOX_LOST, b"")
        assert end.problem is not None
        assert end.problem.code == "QUOTA_EXCEEDED"
        assert house.metrics is not None
        assert b'sandql_refusals_total{code="QUOTA_EXCEEDED",kind="EXECUTE"} 1.0' in house.metrics.write()
    lines = [json.loads(line) for file in (state / "audit").iterdir() for line in file.read_bytes().splitlines()]
    (denied,) = (line for line in lines if line["decision"] != "allowed")
    told = {"operation": "start", "decision": "denied", "code": "QUOTA_EXCEEDED", "subject": "alice", "sandbox": "home", "id": context.id}
    assert {name: denied[name] for name in told} == told
