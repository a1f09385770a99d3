"""``metrics``: a file that the node exporter reads, and labels that Prometheus takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from drtool.config.loading import parse_config
from drtool.config.metrics import RESERVED, MetricsSettings
from drtool.errors import ConfigError
from drtool.monitoring.metrics import METRICS

_HEAD = """
repository: {url: /repo}
sources: {app: {type: files, paths: [/srv]}}
jobs: {nightly: {sources: [app]}}
"""


def _metrics(text: str, tmp_path: Path) -> MetricsSettings:
    found = parse_config(f"{_HEAD}metrics: {text}\n", tmp_path / "drtool.yaml").metrics
    assert found is not None
    return found


def test_a_path_is_taken_from_the_configuration_on(tmp_path: Path) -> None:
    found = _metrics("{textfile: node/drtool.prom, labels: {environment: prod}}", tmp_path)
    assert found.textfile == tmp_path / "node" / "drtool.prom"
    assert found.labels == {"environment": "prod"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{textfile: /node/drtool.txt}", "metrics.textfile: must end with .prom"),
        ("{textfile: /node/drtool.prom, labels: {my-label: x}}", "my-label is no label's name"),
        ("{textfile: /node/drtool.prom, labels: {__own: x}}", "__own is no label's name"),
        ("{textfile: /node/drtool.prom, labels: {job: x}}", "job is a label that drtool or Prometheus gives"),
        ("{textfle: /node/drtool.prom}", "did you mean 'textfile'"),
        ("{labels: {environment: prod}}", "textfile"),
    ],
)
def test_what_prometheus_would_not_take_is_an_error(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _metrics(text, tmp_path)
    assert said in caught.value.message
    assert "drtool.yaml" in caught.value.message


def test_no_label_of_a_metric_can_be_given_twice() -> None:
    assert {label for metric in METRICS for label in metric.labels} <= RESERVED
