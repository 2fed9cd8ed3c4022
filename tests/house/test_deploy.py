"""The dashboard and the alerts: each metric they name is there, each expression is one, each alert fires when it should, and Grafana imports it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.server import running_server

_DEPLOY = Path(__file__).parents[2] / "deploy"
_RULES = _DEPLOY / "prometheus" / "alerts.yml"
_RULES_TEST = _DEPLOY / "prometheus" / "alerts_test.yml"
_NAME = re.compile(r"\b(?:compute|sandql|process)_[a-z_]+\b")
_LABELS = re.compile(r"\b((?:compute|sandql|process)_[a-z_]+)\{([^}]*)\}")
_SCRAPER = {"job", "instance"}  # labels that Prometheus adds
_UNITS = {"short", "percentunit", "s", "bytes", "Bps", "ops", "reqps"}  # of Grafana's, those that are used here
_COLUMNS = 24


@pytest.fixture(scope="module")
def shown() -> dict[str, set[str]]:
    """The labels of each series of a server that has run something and been asked for its database."""
    with running_server(metrics_public="true", pool_size=2, node_pool_size=0, program_pool_size=0) as server:
        for query in ('mutation { executeCode(code: "1", language: "python") { outcome } }', "mutation { createSandbox { id } }"):
            assert "errors" not in httpx2.post(f"{server.url}/graphql", json={"query": query}).json()
        text = httpx2.get(f"{server.url}/metrics").text
    found: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] |= set(sample.labels)
    return found


def dashboard() -> dict[str, Any]:
    return json.loads((_DEPLOY / "grafana" / "dashboard.json").read_text())


def alerts() -> list[dict[str, Any]]:
    rules: dict[str, Any] = yaml.safe_load(_RULES.read_text())
    return [rule for group in rules["groups"] for rule in group["rules"]]


def panel_expressions() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def expressions() -> list[str]:
    """Every expression of both files."""
    return panel_expressions() + [rule["expr"] for rule in alerts()]


def promtool(*arguments: str | Path) -> str:
    """What promtool says. Fails when it finds something wrong, or is not installed."""
    program = shutil.which("promtool")
    assert program is not None, "promtool is not installed; on Debian: apt-get install prometheus"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, cwd=_RULES.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_metric_that_they_name_is_there(shown: dict[str, set[str]]) -> None:
    named = {name for expression in expressions() for name in _NAME.findall(expression)}
    assert len(named) > 15
    assert named - set(shown) == set()


def test_each_label_that_they_choose_by_is_there(shown: dict[str, set[str]]) -> None:
    for expression in expressions():
        for name, chosen in _LABELS.findall(expression):
            assert set(re.findall(r"(\w+)[=!]", chosen)) - _SCRAPER <= shown[name], expression
        for labels in re.findall(r"by \(([^)]*)\)", expression):
            wanted = {label.strip() for label in labels.split(",")} - _SCRAPER
            assert wanted <= set().union(*(shown[name] for name in _NAME.findall(expression))), expression


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", _RULES_TEST)
    tried: dict[str, Any] = yaml.safe_load(_RULES_TEST.read_text())
    cases = [case for test in tried["tests"] for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in alerts()}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


def test_each_expression_of_the_dashboard_is_one(tmp_path: Path) -> None:
    asked = [expression.replace("$instance", ".*").replace("$__rate_interval", "5m") for expression in panel_expressions()]
    assert not [expression for expression in asked if "$" in expression]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", tmp_path / "panels.yml")


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    page = dashboard()
    assert page["schemaVersion"] >= 36, "since Grafana 9 a data source is an object"
    assert page["id"] is None, "Grafana gives the number"
    assert page["title"]
    assert page["uid"]
    assert {variable["name"]: variable["type"] for variable in page["templating"]["list"]} == {"datasource": "datasource", "instance": "query"}
    panels = page["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        title = panel["title"]
        assert panel["type"] == "timeseries", title
        assert panel["description"].endswith("."), title
        assert panel["fieldConfig"]["defaults"]["unit"] in _UNITS, title
        for target in (panel, *panel["targets"]):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, title
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references), title
        assert all(target["legendFormat"] for target in panel["targets"]), title
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= _COLUMNS, title
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"], "panels lie on each other"
