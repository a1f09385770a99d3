"""The alerts of this host, and who sees to them."""

from __future__ import annotations

from pathlib import Path

from drtool.config.root import Config
from drtool.errors import UsageError
from drtool.local.clock import Clock, now
from drtool.monitoring.alerting.store import FILE, Alert, AlertStore, TargetState, open_alerts
from drtool.scheduling.ledger import unattended_directory


def alerts_directory(config: Config) -> Path:
    """Where they are kept."""
    return unattended_directory(config.repository.state_dir, config.repository.url)


def standing_of_notifications(config: Config) -> tuple[list[Alert], dict[str, TargetState]]:
    """The alerts that are open, the worst first, and how deliveries to each configured target go."""
    directory = alerts_directory(config)
    names = [settings.label for settings in config.notify]
    if not (directory / FILE).exists():
        return [], dict.fromkeys(names, TargetState())
    with AlertStore(directory) as store:
        return open_alerts(directory), {name: store.target(name) for name in names}


def reached(config: Config, target: str, clock: Clock = now) -> None:
    """A target took something: what failed before counts no more, and what waits for it is tried again."""
    directory = alerts_directory(config)
    if (directory / FILE).exists():
        with AlertStore(directory) as store:
            if store.target(target).failures:
                store.told(target, [], clock())


def acknowledge(config: Config, key: str, who: str) -> Alert:
    """Somebody sees to an alert: it is not repeated, and nobody further is turned to, before it gets worse or is back.

    ``UsageError`` where no such alert is open.
    """
    directory = alerts_directory(config)
    found = {alert.condition.key: alert for alert in open_alerts(directory)}
    if key not in found:
        keys = ", ".join(found) or "none"
        raise UsageError(f"no alert {key!r} is open", hint=f"Open alerts: {keys}")
    with AlertStore(directory) as store:
        store.acknowledge(key, who)
    return found[key]
