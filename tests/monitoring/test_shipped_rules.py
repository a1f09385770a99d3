"""The alert rules and the dashboard that travel with drtool."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from drtool.monitoring.metrics import METRICS
from drtool.monitoring.shipped import DASHBOARD, RULES, read
from tests.monitoring.promtool import promtool

_HERE = Path(__file__).parent
_CASES = [_HERE / "alerts_test.yaml", _HERE / "alerts_weeks_test.yaml"]
_GUIDE = _HERE.parents[1] / "docs" / "operations.md"
_NAMES = {metric.name for metric in METRICS}


def _used(text: str) -> set[str]:
    return set(re.findall(r"drtool_[a-z_]+", text))


def _rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(read(RULES))["groups"]:
        yield from group["rules"]


def _panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(read(DASHBOARD))["panels"]
    return panels


def test_rules_and_dashboard_use_what_is_exposed() -> None:
    expressions = [rule["expr"] for rule in _rules()]
    expressions += [target["expr"] for panel in _panels() for target in panel["targets"]]
    used = _used(" ".join(expressions))
    assert used <= _NAMES
    assert len(used) > 20


def test_the_guide_names_every_metric_and_no_other() -> None:
    text = _GUIDE.read_text()
    section = text[text.index("### Metrics") :].split("\n### ")[0].split("\n## ")[0]
    assert _used(section) - {"drtool_prom"} == _NAMES


def test_labels_are_those_that_the_metrics_have() -> None:
    labels = {metric.name: {*metric.labels, "instance"} for metric in METRICS}
    texts = [rule["expr"] for rule in _rules()]
    texts += [target["expr"] for panel in _panels() for target in panel["targets"]]
    for name, chosen in re.findall(r"(drtool_[a-z_]+)\{([^}]*)\}", " ".join(texts)):
        assert set(re.findall(r"(\w+)[!=]", chosen)) <= labels[name]


def test_every_rule_says_what_to_do() -> None:
    for rule in _rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_promtool_accepts_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))


def test_the_rules_fire_when_they_should() -> None:
    assert "SUCCESS" in promtool("test", "rules", *(path.name for path in _CASES), cwd=_HERE)


def test_every_rule_is_tested() -> None:
    tested = [test for path in _CASES for test in yaml.safe_load(path.read_text())["tests"]]
    fired = {case["alertname"] for test in tested for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in _rules()}


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    dashboard = json.loads(read(DASHBOARD))
    assert dashboard["uid"] == "drtool"
    assert {"title", "schemaVersion", "templating", "time"} <= dashboard.keys()
    assert len({panel["id"] for panel in _panels()}) == len(_panels())
    taken: set[tuple[int, int]] = set()
    for panel in _panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in _span(place["x"], place["w"]) for y in _span(place["y"], place["h"])}
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells


def _span(start: int, length: int) -> range:
    return range(start, start + length)
