"""An execution as text and back, for the end of a log."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict
from typing import Any

from sandql.core.values import Compilation, Completed, Execution, ExecutionException, FileContent, Isolation, Outcome, Problem, RichResult


def dump(event: Completed) -> bytes:
    """The last event of a run as JSON."""
    fields = asdict(event.execution)
    for name in ("stdout", "stderr"):
        fields[name] = b64encode(fields[name]).decode()
    fields["artifacts"] = [{"path": item.path, "content": b64encode(item.content).decode()} for item in event.execution.artifacts]
    if (compiled := event.execution.compilation) is not None:
        fields["compilation"] = {"success": compiled.success, "output": b64encode(compiled.output).decode(), "wall_ms": compiled.wall_ms}
    return json.dumps({"seq": event.seq, "execution": fields}, ensure_ascii=True).encode()


def load(data: bytes) -> Completed:
    """What `dump` made."""
    told: dict[str, Any] = json.loads(data)
    fields: dict[str, Any] = told["execution"]
    isolation: dict[str, Any] = fields["isolation"]
    for name in ("stdout", "stderr"):
        fields[name] = b64decode(fields[name])
    fields["outcome"] = Outcome(fields["outcome"])
    isolation["namespaces"] = tuple(isolation["namespaces"])
    fields["isolation"] = Isolation(**isolation)
    fields["artifacts"] = tuple(FileContent(item["path"], b64decode(item["content"])) for item in fields["artifacts"])
    if fields["problem"] is not None:
        fields["problem"] = Problem(**fields["problem"])
    if (compiled := fields["compilation"]) is not None:
        fields["compilation"] = Compilation(compiled["success"], b64decode(compiled["output"]), compiled["wall_ms"])
    fields["results"] = tuple(RichResult(**item) for item in fields["results"])
    if fields["exception"] is not None:
        fields["exception"] = ExecutionException(**fields["exception"])
    return Completed(told["seq"], Execution(**fields))
