"""Any service that takes what Prometheus' Alertmanager sends to a webhook, version 4 of that format.

A label's name is made of letters, digits and underscores; ``truncatedAlerts`` counts what is not sent.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from drtool.config.notify import WebhookSettings
from drtool.monitoring.alerting.messages import Message, Notice
from drtool.monitoring.alerting.wording import body, facts, one_line
from drtool.monitoring.targets.base import post_json

#: What stands for "not ended" in this format: Go's zero time.
_NEVER = "0001-01-01T00:00:00Z"


class Webhook:
    """An address."""

    shown = 100
    separate = False

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings

    def deliver(self, message: Message) -> str:
        """Post it."""
        settings = self._settings
        headers = {name: secret.reveal() for name, secret in settings.headers.items()}
        content = payload(message, settings.label)
        post_json(settings.url, content, ca_bundle=settings.ca_bundle, headers=headers, in_the_clear=True)
        return ""


def payload(message: Message, receiver: str) -> dict[str, Any]:
    """What is posted."""
    alerts = [_alert(notice, message) for notice in message.notices]
    group = {"instance": message.host}
    return {
        "version": "4",
        "groupKey": f'{{}}/{{}}:{{instance="{message.host}"}}',
        "truncatedAlerts": message.more,
        "status": "firing" if any(notice.lasts for notice in message.notices) else "resolved",
        "receiver": receiver,
        "groupLabels": group,
        "commonLabels": _common([alert["labels"] for alert in alerts]),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": "",
        "alerts": alerts,
    }


def _alert(notice: Notice, message: Message) -> dict[str, Any]:
    condition = notice.condition
    labels = {
        "alertname": "drtool_" + _name(condition.key.partition("/")[0]),
        "alert": condition.key,
        "instance": message.host,
        "severity": condition.severity.label,
    }
    if condition.job:
        labels["job"] = condition.job
    annotations = {"summary": one_line(condition.title), "description": body(notice), "kind": str(notice.kind)}
    annotations |= {_name(name): value for name, value in facts(notice, message)}
    # What stays the same while an alert lasts; it may get worse.
    identity = f"{message.host}\0{condition.key}"
    return {
        "status": "firing" if notice.lasts else "resolved",
        "labels": labels,
        "annotations": annotations,
        "startsAt": condition.since.isoformat(),
        "endsAt": _NEVER if notice.ended is None else notice.ended.isoformat(),
        "generatorURL": "",
        "fingerprint": hashlib.sha256(identity.encode()).hexdigest()[:16],
    }


def _common(all_: list[dict[str, str]]) -> dict[str, str]:
    first, *others = all_
    return {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}


def _name(text: str) -> str:
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()
