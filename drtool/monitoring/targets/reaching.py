"""Would a message arrive? As far as can be told without sending one."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

from drtool.config.notify import (
    CommandSettings,
    DiscordSettings,
    EmailSettings,
    PagerDutySettings,
    SlackSettings,
    SmsSettings,
    TargetSettings,
    TeamsSettings,
    WebhookSettings,
)
from drtool.errors import NotificationError
from drtool.monitoring.http import request
from drtool.monitoring.targets.email import Email


def reach(settings: TargetSettings) -> str:
    """Who answers there. ``NotificationError`` where nobody does, and ``ConfigError`` where a secret cannot be had.

    A web service is asked for its first page, without the secret in the address; a mail server is logged in to; a
    program is looked for.
    """
    match settings:
        case SlackSettings() | DiscordSettings() | TeamsSettings() | WebhookSettings() | SmsSettings():
            return reach_web(settings.url.reveal(), settings.ca_bundle)
        case PagerDutySettings():
            settings.routing_key.reveal()
            return reach_web(settings.url, settings.ca_bundle)
        case EmailSettings():
            return Email(settings).reach()
        case CommandSettings():
            return _found(settings.command[0])
    raise TypeError(f"no target for {type(settings).__name__}")


def reach_web(url: str, ca_bundle: Path | None) -> str:
    """The host of an address, which answered, whatever it did."""
    parts = urlsplit(url.strip())
    origin = parts._replace(netloc=parts.netloc.rpartition("@")[2], path="/", query="", fragment="").geturl()
    request(origin, method="GET", ca_bundle=ca_bundle)
    return parts.hostname or ""


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise NotificationError(f"{program} is no program that can be started here")
    return path
