"""PagerDuty's Events API v2: an alert is triggered, acknowledged and resolved under one key.

Limits as published: 1,024 characters of summary, 255 of the key, 512 KB in all.
"""

from __future__ import annotations

import hashlib
from typing import Any

from drtool.config.notify import PagerDutySettings
from drtool.config.secrets import Secret
from drtool.monitoring.alerting.messages import Kind, Message, Notice
from drtool.monitoring.alerting.wording import body, clipped, facts, one_line
from drtool.monitoring.targets.base import post_json

_SUMMARY, _KEY, _DETAIL = 1024, 255, 2000
_ACTIONS = {Kind.RECOVERED: "resolve", Kind.ACKNOWLEDGED: "acknowledge"}


class PagerDuty:
    """A service."""

    shown = 1
    separate = True

    def __init__(self, settings: PagerDutySettings) -> None:
        self._settings = settings

    def deliver(self, message: Message) -> str:
        """Send an event; a test is resolved at once, so that it wakes nobody for long."""
        for notice in message.notices:
            self._send(notice, message, _ACTIONS.get(notice.kind, "trigger"))
            if notice.kind is Kind.TEST:
                self._send(notice, message, "resolve")
        return ""

    def _send(self, notice: Notice, message: Message, action: str) -> None:
        event = {"routing_key": self._settings.routing_key.reveal(), **payload(notice, message, action)}
        url = Secret.of(self._settings.url, key=self._settings.routing_key.key)
        post_json(url, event, ca_bundle=self._settings.ca_bundle)


def payload(notice: Notice, message: Message, action: str) -> dict[str, Any]:
    """What is sent beside the routing key."""
    condition = notice.condition
    event: dict[str, Any] = {"event_action": action, "dedup_key": dedup_key(message.host, condition.key)}
    if action != "trigger":
        return event
    details = {name: clipped(value, _DETAIL) for name, value in facts(notice, message)}
    event["client"] = "drtool"
    event["payload"] = {
        "summary": clipped(one_line(f"{condition.title} [{message.host}]"), _SUMMARY),
        "source": message.host,
        "severity": condition.severity.label,
        "timestamp": condition.since.isoformat(),
        "component": condition.job or "drtool",
        "group": "backup",
        "class": condition.key.partition("/")[0],
        "custom_details": {"what to do": clipped(body(notice), _DETAIL), **details},
    }
    return event


def dedup_key(host: str, key: str) -> str:
    """The same for an alert for as long as it lasts, and whenever it comes back."""
    whole = f"drtool/{host}/{key}"
    return whole if len(whole) <= _KEY else f"drtool/{hashlib.sha256(whole.encode()).hexdigest()}"
