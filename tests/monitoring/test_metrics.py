"""The text that Prometheus reads."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.monitoring.metrics import METRICS, Exposition
from tests.monitoring.promtool import promtool

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def _complete() -> Exposition:
    exposition = Exposition({"environment": 'p"rod\\'})
    for number, metric in enumerate(METRICS):
        for which in ("one", "tw\no"):
            exposition.set(metric.name, number + 0.25, *(which for _ in metric.labels))
    return exposition


def test_promtool_finds_nothing_wrong() -> None:
    assert promtool("check", "metrics", stdin=_complete().text()).strip() == ""


def test_every_metric_is_told_once_with_its_help() -> None:
    lines = _complete().text().splitlines()
    assert [line.split()[2] for line in lines if line.startswith("# TYPE")] == [metric.name for metric in METRICS]
    assert [line.split()[2] for line in lines if line.startswith("# HELP")] == [metric.name for metric in METRICS]


def test_names_say_what_is_measured() -> None:
    for metric in METRICS:
        assert re.fullmatch(r"drtool_[a-z_]+", metric.name)
        assert metric.about.endswith(".")
        assert ("timestamp" in metric.name) <= metric.name.endswith("_timestamp_seconds")
        assert not metric.name.endswith(("_total", "_count", "_sum")), "those are counters'"


@given(_TEXTS, st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_labels_and_values_come_back(text: str, value: float) -> None:
    exposition = Exposition()
    exposition.set("drtool_pitr_lag_seconds", value, text)
    lines = exposition.text().split("\n")
    assert len(lines) == 4, "a line feed in a label is no new line"
    found = re.fullmatch(r'drtool_pitr_lag_seconds\{source="((?:[^"\\]|\\.)*)"\} (\S+)', lines[2], re.DOTALL)
    assert found is not None
    told = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], found[1])
    assert told == text
    assert float(found[2]) == pytest.approx(value, abs=1e-6)


def test_what_is_not_known_is_not_told() -> None:
    exposition = Exposition()
    exposition.set("drtool_repository_size_bytes", None)
    assert exposition.text() == ""


def test_a_value_without_its_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="job, stage"):
        Exposition().set("drtool_last_run_success", 1, "nightly")
