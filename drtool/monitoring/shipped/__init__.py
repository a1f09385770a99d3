"""What monitoring takes from drtool as it stands: alert rules for Prometheus, a dashboard for Grafana."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
RULES = _HERE / "alerts.yaml"
DASHBOARD = _HERE / "dashboard.json"


def read(path: Path) -> str:
    """One of them, as text."""
    return path.read_text("utf-8")
