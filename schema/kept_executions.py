"""Executions that outlive their client."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import strawberry

from sandql.core import executions
from sandql.core.values import Caller
from sandql.resolvers import executions as resolvers
from sandql.schema.context import Info
from sandql.schema.enums import ExecutionStatus, Outcome
from sandql.schema.events import ExecutionEvent, logged_event
from sandql.schema.execution import ExecutionResult, execution_result
from sandql.schema.pages import PageInfo
from sandql.schema.requirements import needs
from sandql.store.paging import Page

AfterEvent = Annotated[int, strawberry.argument(description="The number of the last event that is known already; 0 for all of them.")]
FirstEvents = Annotated[int, strawberry.argument(description="How many events at most, up to 10,000; fewer come where they are large, about 4 MiB.")]


@strawberry.type(description="A run that was started and left to itself.")
class Execution:
    """See `sandql.core.executions.KeptExecution`."""

    id: strawberry.ID = strawberry.field(description="Its id, which nobody guesses.")
    status: ExecutionStatus = strawberry.field(description="Whether it goes on.")
    outcome: Outcome | None = strawberry.field(description="How it ended; null while it runs.")
    sandbox_id: strawberry.ID | None = strawberry.field(description="Where it runs; null for a fresh sandbox.")
    provider: str = strawberry.field(description="The provider that runs it.")
    language: str = strawberry.field(description='The language that runs; "command" for a command.')
    started_at: datetime = strawberry.field(description="When it was started.")
    ended_at: datetime | None = strawberry.field(description="When it ended; null while it runs.")
    asker: strawberry.Private[Caller]  # who looks at it: its owner, or who acts as that

    @strawberry.field(description="The number of the last event that there is.", metadata=needs(resolvers.last_seq_of))
    async def last_seq(self, info: Info) -> int:
        return await resolvers.last_seq_of(info.context.sandboxes, self.asker, self.id)

    @strawberry.field(description="The same answer as that of `executeCode`; null while it runs.", metadata=needs(resolvers.result_of))
    async def result(self, info: Info) -> ExecutionResult | None:
        found = await resolvers.result_of(info.context.sandboxes, self.asker, self.id)
        return None if found is None else execution_result(found)

    @strawberry.field(
        description="Some of the events that there are; `executionEvents` goes on with those that come.", metadata=needs(resolvers.some_events)
    )
    async def events(self, info: Info, after: AfterEvent = 0, first: FirstEvents = 1000) -> list[ExecutionEvent]:
        found = await resolvers.some_events(info.context.sandboxes, self.asker, self.id, after, first)
        return [logged_event(event) for event in found]


@strawberry.type(description="An execution of a page.")
class ExecutionEdge:
    """An item with its cursor."""

    cursor: str = strawberry.field(description="What to give as `after` for the page behind this one.")
    node: Execution = strawberry.field(description="The execution.")


@strawberry.type(description="A page of executions, newest first.")
class ExecutionConnection:
    """See `sandql.store.paging.Page`."""

    edges: list[ExecutionEdge] = strawberry.field(description="The executions with their cursors.")
    nodes: list[Execution] = strawberry.field(description="The executions.")
    page_info: PageInfo = strawberry.field(description="Whether there are more.")


def kept_execution(value: executions.KeptExecution, asker: Caller) -> Execution:
    """The GraphQL form of an execution that outlives its client."""
    return Execution(
        id=strawberry.ID(value.id),
        status=value.status,
        outcome=value.outcome,
        sandbox_id=None if value.sandbox_id is None else strawberry.ID(value.sandbox_id),
        provider=value.provider,
        language=value.language,
        started_at=datetime.fromtimestamp(value.started_at, UTC),
        ended_at=None if value.ended_at is None else datetime.fromtimestamp(value.ended_at, UTC),
        asker=asker,
    )


def execution_connection(page: Page[executions.KeptExecution], asker: Caller) -> ExecutionConnection:
    """The GraphQL form of a page of executions."""
    nodes = [kept_execution(item, asker) for item in page.items]
    edges = [ExecutionEdge(cursor=cursor, node=node) for cursor, node in zip(page.cursors, nodes, strict=True)]
    return ExecutionConnection(edges=edges, nodes=nodes, page_info=PageInfo(has_next_page=page.has_next, end_cursor=page.end_cursor))
