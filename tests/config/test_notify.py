"""Notification targets in the configuration: what is accepted, and what is said about the rest."""

from __future__ import annotations

import pytest

from drtool.config.notify import TARGETS, EmailSettings, SlackSettings
from tests.config.samples import VALID, problems, read

EMAIL = "type: email, host: mail.example.org, from: drtool@example.org, to: [oncall@example.org]"


def _with(*targets: str) -> str:
    return VALID + "notify:\n" + "".join(f"  - {{{target}}}\n" for target in targets)


def test_every_type() -> None:
    config = read(
        _with(
            "type: slack, url: {env: SLACK_WEBHOOK}, severity: warning, cooldown: 15m",
            "type: discord, url: https://discord.example.org/x, severity: info",
            "type: teams, url: https://teams.example.org/x, jobs: [nightly]",
            "type: pagerduty, routing_key: {file: key}, severity: critical",
            f"{EMAIL}, user: drtool, password: {{env: SMTP}}, after: 30m",
            "type: webhook, url: http://alerts.example.org, headers: {Authorization: {env: TOKEN}}",
            "type: sms, url: https://sms.example.org, fields: {To: '+15550111', Body: '{text}'}, length: 320",
            "type: command, command: [/usr/local/bin/tell], name: script",
        )
    )
    assert [target.type for target in config.notify] == list(TARGETS)
    assert [target.label for target in config.notify] == [*list(TARGETS)[:-1], "script"]
    slack, email = config.notify[0], config.notify[4]
    assert isinstance(slack, SlackSettings)
    assert isinstance(email, EmailSettings)
    assert (slack.severity, slack.cooldown, slack.after) == ("warning", 900, 0)
    assert slack.url.key == "notify[0].url"
    assert (email.after, email.sender, email.port) == (1800, "drtool@example.org", None)
    assert "SLACK_WEBHOOK" not in repr(config.notify)


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("url: x", "notify[0].type: is required: one of slack, discord"),
        ("type: slak, url: x", "notify[0].type: unknown type of target; did you mean 'slack'?"),
        ("type: slack", "notify[0].url: is required"),
        ("type: slack, url: x, colour: red", "notify[0].colour: unknown key"),
        ("type: slack, url: x, severity: bad", "notify[0].severity: Input should be 'info', 'warning' or 'critical'"),
        ("type: slack, url: x, cooldown: 15", "notify[0].cooldown: must be a duration with its unit"),
        ("type: slack, url: x, jobs: [nightl]", "notify[0].jobs[0]: no job 'nightl'; did you mean 'nightly'?"),
        (f"{EMAIL}, user: me", "notify[0]: user and password go together"),
        (f"{EMAIL}, tls: none, user: me, password: p", "notify[0]: a password does not go over the network"),
        (EMAIL.replace("oncall@example.org", '"a@b.c\\r\\nBcc: x@y.z"'), "notify[0].to[0]: must be an e-mail address"),
        ("type: sms, url: x, fields: {}", "notify[0].fields: needs at least 1 entry"),
        ("type: command, command: tell", "notify[0].command: must be a list"),
        ("type: command, command: []", "notify[0].command: needs at least 1 entry"),
    ],
)
def test_what_is_wrong_is_named(target: str, complaint: str) -> None:
    found = problems(_with(target))
    assert all(problem.startswith("15: ") for problem in found)
    assert any(complaint in problem for problem in found)


def test_targets_have_different_names() -> None:
    assert problems(_with("type: slack, url: x", "type: slack, url: y")) == [
        "16: notify[1]: there is another 'slack': give each a name"
    ]
    assert len(read(_with("type: slack, url: x", "type: slack, url: y, name: other")).notify) == 2
