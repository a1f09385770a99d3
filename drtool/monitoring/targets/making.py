"""From a target's settings to the target."""

from __future__ import annotations

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
from drtool.monitoring.targets.base import Target
from drtool.monitoring.targets.command import Command
from drtool.monitoring.targets.discord import Discord
from drtool.monitoring.targets.email import Email
from drtool.monitoring.targets.pagerduty import PagerDuty
from drtool.monitoring.targets.slack import Slack
from drtool.monitoring.targets.sms import Sms
from drtool.monitoring.targets.teams import Teams
from drtool.monitoring.targets.webhook import Webhook


def make_target(settings: TargetSettings) -> Target:
    """The target that these settings describe."""
    match settings:
        case SlackSettings():
            return Slack(settings)
        case DiscordSettings():
            return Discord(settings)
        case TeamsSettings():
            return Teams(settings)
        case PagerDutySettings():
            return PagerDuty(settings)
        case EmailSettings():
            return Email(settings)
        case WebhookSettings():
            return Webhook(settings)
        case SmsSettings():
            return Sms(settings)
        case CommandSettings():
            return Command(settings)
    raise TypeError(f"no target for {type(settings).__name__}")
