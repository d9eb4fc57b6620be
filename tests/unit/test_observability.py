"""Rules, dashboards and runbooks agree with the metrics that there are, and with each other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from interview_agent.metrics import METERS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "config" / "observability"
RULES = sorted((FOLDER / "prometheus" / "rules").glob("*.yml"))
RULE_TESTS = sorted((FOLDER / "prometheus" / "tests").glob("*.yml"))
DASHBOARDS = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))
RUNBOOK = "docs/runbooks/alerts.md"

AGREED_ALERTS = {
    "ApiGatewayDown",
    "QueueBacklogHigh",
    "DLQNotEmpty",
    "ApiP95LatencyHigh",
    "SberJazzConnectorUnhealthy",
    "SberJazzReconcileHasFailures",
    "SberJazzCircuitBreakerOpen",
    "SberJazzLivePullHasFailures",
    "BlobStorageUnhealthy",
    "SystemReadinessFailed",
}
"""Names that others' routes and silences rely on."""

FOREIGN = {
    "up": {"job", "instance"},
    "alertmanager_notifications_failed_total": {"integration", "job", "instance"},
}
_TARGET = {"job", "instance"}
_NO_METRICS = {
    *("and", "or", "unless", "on", "by", "ignoring", "without", "sum", "max", "min", "time"),
    *("rate", "increase", "absent", "topk", "histogram_quantile", "label_replace"),
}
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"[^"]*"')
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
_NAME = re.compile(r"(?<![\w.])[a-zA-Z_:][\w:]*")


class Used(NamedTuple):
    """What a query asks for: metrics, the labels by which each is chosen, labels it groups by."""

    metrics: set[str]
    chosen_by: list[tuple[str, set[str]]]
    grouped_by: set[str]


def read_query(query: str) -> Used:
    """Find the names in a query; what is neither grammar nor a label is taken for a metric."""
    chosen = [(name, set(_MATCHER.findall(inside))) for name, inside in _SELECTOR.findall(query)]
    bare = _SELECTOR.sub(r"\1", query)
    grouped = {
        label.strip() for labels in _GROUPING.findall(bare) for label in labels.split(",")
    } - {""}
    bare = _GROUPING.sub(" ", re.sub(r'"[^"]*"|\[\w+\]', " ", bare))
    return Used(set(_NAME.findall(bare)) - _NO_METRICS, chosen, grouped)


def alert_rules() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


@cache
def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in RULES:
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            found += group["rules"]
    return found


def dashboard_queries() -> list[str]:
    return [
        target["expr"]
        for file in DASHBOARDS
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]
        for target in panel["targets"]
    ]


@cache
def known_labels() -> dict[str, set[str]]:
    """Return the labels of every series that a query may name."""
    known = dict(FOREIGN)
    for meter in METERS:
        labels = {*meter.labels, *_TARGET}
        if meter.kind == "histogram":
            known |= {
                f"{meter.name}_{each}": labels | {"le"} for each in ("bucket", "sum", "count")
            }
        else:
            known[meter.name] = labels
    for rule in rules():
        if "record" in rule:
            known[rule["record"]] = read_query(rule["expr"]).grouped_by
    return known


QUERIES = [*(rule["expr"] for rule in rules()), *dashboard_queries()]


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_names_metrics_and_labels_that_exist(query: str) -> None:
    known, used = known_labels(), read_query(query)
    assert used.metrics - set(known) == set()
    for name, labels in used.chosen_by:
        assert labels - known[name] == set(), name
    there = set().union(*(known[name] for name in used.metrics))
    assert used.grouped_by - there == set()


def test_a_query_with_a_wrong_name_or_label_is_noticed() -> None:
    used = read_query('sum by (le) (rate(agent_typo_total{code=~"5.."}[5m])) > on (queue) up')
    assert used == Used(
        {"agent_typo_total", "up"}, [("agent_typo_total", {"code"})], {"le", "queue"}
    )


def test_the_agreed_alerts_are_there_and_every_alert_says_what_to_do() -> None:
    alerts = alert_rules()
    names = [rule["alert"] for rule in alerts]
    assert len(names) == len(set(names))
    assert set(names) >= AGREED_ALERTS
    for rule in alerts:
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"{RUNBOOK}#{rule['alert'].lower()}"


def test_every_alert_has_a_section_with_the_same_four_parts_and_no_other_has() -> None:
    text = (ROOT / RUNBOOK).read_text(encoding="utf-8")
    sections = {part.partition("\n")[0]: part for part in text.split("\n## ")[1:]}
    described = {name for name, part in sections.items() if "**Means.**" in part}
    assert described == {rule["alert"] for rule in alert_rules()}
    for name in described:
        parts = re.findall(r"^\*\*(.+?)\.\*\* \S", sections[name], re.MULTILINE)
        assert parts == ["Means", "Look at", "Do", "Over when"], name


def test_every_link_within_the_runbook_leads_to_a_section() -> None:
    text = (ROOT / RUNBOOK).read_text(encoding="utf-8")
    anchors = {
        line.lower().replace(" ", "-") for line in re.findall(r"^## (.+)$", text, re.MULTILINE)
    }
    assert {link for link in re.findall(r"\]\(#([^)]+)\)", text) if link not in anchors} == set()


def test_the_runbook_names_metrics_that_exist() -> None:
    named = re.findall(r"\bagent[_:][\w:]+", (ROOT / RUNBOOK).read_text(encoding="utf-8"))
    assert set(named) - set(known_labels()) == set()


def test_every_alert_is_seen_firing_and_not_firing() -> None:
    fires, rests = set(), set()
    for file in RULE_TESTS:
        for case in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for look in case["alert_rule_test"]:
                (fires if look["exp_alerts"] else rests).add(look["alertname"])
    names = {rule["alert"] for rule in alert_rules()}
    assert (names - fires, names - rests) == (set(), set())


def test_dashboards_are_found_and_ask_the_one_source_of_data() -> None:
    provisioning = FOLDER / "grafana" / "provisioning"
    (source,) = yaml.safe_load(
        (provisioning / "datasources" / "prometheus.yml").read_text(encoding="utf-8")
    )["datasources"]
    (provider,) = yaml.safe_load(
        (provisioning / "dashboards" / "interview-agent.yml").read_text(encoding="utf-8")
    )["providers"]
    mounts = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert any(
        volume == f"./config/observability/grafana/dashboards:{provider['options']['path']}:ro"
        for volume in mounts["services"]["grafana"]["volumes"]
    )
    boards = [json.loads(file.read_text(encoding="utf-8")) for file in DASHBOARDS]
    assert [board["uid"] for board in boards] == [file.stem for file in DASHBOARDS]
    assert {board["title"] for board in boards} >= {"Service", "Pipeline", "Live", "Connector"}
    for board in boards:
        assert all(panel["datasource"]["uid"] == source["uid"] for panel in board["panels"])
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def promtool(*arguments: str | Path) -> str:
    """Run promtool, and return what it says."""
    if shutil.which("promtool") is None:
        pytest.skip("promtool is missing: it is in the Debian package prometheus")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_finds_no_fault_in_configuration_and_rules() -> None:
    said = promtool("check", "config", FOLDER / "prometheus" / "prometheus.yml")
    assert f"{len(alert_rules())} rules found" in said


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_promtool_sees_the_alerts_fire_as_expected(file: Path) -> None:
    promtool("test", "rules", file)


def test_promtool_can_read_every_query_of_the_dashboards(tmp_path: Path) -> None:
    recorded = [
        {"record": f"query:{number}", "expr": query}
        for number, query in enumerate(dashboard_queries())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": recorded}]}))
    promtool("check", "rules", file)
