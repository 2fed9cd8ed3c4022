"""Every audit that the npm package graphql-http has for a server of GraphQL over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.node import npm_ci, run_node
from tests.support.twin_server import TwinServer


def test_all_audits_pass(served: TwinServer) -> None:
    folder = npm_ci(Path(__file__).parent / "audit")
    report: dict[str, dict[str, Any]] = run_node(folder / "audit.mjs", served.url)
    assert len(report) == 61
    assert {audit["name"]: audit["reason"] for audit in report.values() if audit["status"] != "ok"} == {}
