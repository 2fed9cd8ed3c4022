"""How graphql-core executes the events of a subscription, with the memory of each given back."""

from __future__ import annotations

from typing import Any, cast

from sandql.server.plain_fields import PlainFieldsExecutor


class EventExecutor(PlainFieldsExecutor):
    """What `graphql.subscribe(executor_class=…)` is given.

    In graphql-core 3.3.2 the executors of a subscription's events share a memo whose keys no two events have in common: it
    grows by more than 1 KiB an event for as long as the subscription lasts. Here each event has a memo of its own.
    """

    def build_per_event_executor(self, payload: Any) -> EventExecutor:
        """An executor for one event."""
        executor = cast("EventExecutor", super().build_per_event_executor(payload))  # pyright: ignore[reportUnknownMemberType]  (generic, unsaid)
        executor._relevant_sub_fields = {}
        return executor
