"""Whatever is wrong, however many things, with whatever texts: each provider takes the message."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import Phase, given, settings

from drtool.monitoring.alerting.messages import Message
from drtool.monitoring.conditions import Condition, Severity
from drtool.monitoring.targets import discord, pagerduty, slack, sms, teams, webhook
from tests.monitoring.notices import AT, messages, notice
from tests.monitoring.targets import providers
from tests.monitoring.targets.providers import Reply, Request

#: To shrink such messages takes minutes.
_few = settings(max_examples=8, phases=(Phase.explicit, Phase.generate))


def _request(content: Any, path: str = "/hook?wait=true") -> Request:
    return Request("POST", path, {}, json.dumps(content, ensure_ascii=False).encode())


def _taken(reply: Reply) -> None:
    assert 200 <= reply.status < 300, reply


def _worst(count: int) -> Message:
    """As much as can be, of the longest."""
    long = "<&>*😀" * 2_000
    facts = dict.fromkeys("abcdefghijklmnop", long)
    key = "k/" + "x" * 400
    worst = Condition(key, Severity.CRITICAL, long, long, AT, "nightly", "r" * 60, facts)
    return Message(tuple(notice(of=worst) for _ in range(count)), "db1.example.org", AT, 1_000_000)


def test_as_much_as_can_be() -> None:
    _taken(providers.slack(_request(slack.payload(_worst(slack.Slack.shown)))))
    _taken(providers.discord(_request(discord.payload(_worst(discord.Discord.shown)))))
    _taken(providers.teams(_request(teams.payload(_worst(teams.Teams.shown)))))
    whole = _worst(1)
    event = {"routing_key": "a" * 32, **pagerduty.payload(whole.notices[0], whole, "trigger")}
    _taken(providers.pagerduty(_request(event)))
    assert len(sms.text(whole, 160)) <= 160


@_few
@given(messages(slack.Slack.shown))
def test_slack(message: Message) -> None:
    _taken(providers.slack(_request(slack.payload(message))))


@_few
@given(messages(discord.Discord.shown))
def test_discord(message: Message) -> None:
    _taken(providers.discord(_request(discord.payload(message))))


@_few
@given(messages(teams.Teams.shown))
def test_teams(message: Message) -> None:
    _taken(providers.teams(_request(teams.payload(message))))


@_few
@given(messages(1))
def test_pagerduty(message: Message) -> None:
    for action in ("trigger", "acknowledge", "resolve"):
        event = {"routing_key": "a" * 32, **pagerduty.payload(message.notices[0], message, action)}
        _taken(providers.pagerduty(_request(event)))


@_few
@given(messages(12))
def test_webhook(message: Message) -> None:
    _taken(providers.alertmanager(_request(webhook.payload(message, "ops"))))


@_few
@given(messages(3))
def test_sms(message: Message) -> None:
    for length in (70, 160, 480):
        text = sms.text(message, length)
        assert len(text) <= length
        assert text.isascii()
        assert not set(text) & set("[]{}\\~^|`\n")  # of GSM 03.38's extension: two places each
        assert text.startswith("drtool ")
