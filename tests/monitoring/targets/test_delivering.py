"""Each kind of target, by its settings, to a server that is its provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from drtool.config.masking import MASKER
from drtool.config.notify import TARGETS
from drtool.errors import ConfigError, NotificationError
from drtool.monitoring.alerting.messages import Kind
from drtool.monitoring.targets.base import Target
from drtool.monitoring.targets.making import make_target
from tests.monitoring.notices import condition, message, notice
from tests.monitoring.targets import providers
from tests.monitoring.targets.providers import Reply
from tests.monitoring.targets.receiver import Receiver, receiving
from tests.servers.certificates import authority, issue

KEY = "0123456789abcdef0123456789abcdef"
#: Of each kind that is spoken to over HTTP: its settings, given the server.
WEB: dict[str, tuple[providers.Provider, Callable[[str], dict[str, Any]]]] = {
    "slack": (providers.slack, lambda url: {"url": url}),
    "discord": (providers.discord, lambda url: {"url": url}),
    "teams": (providers.teams, lambda url: {"url": url}),
    "pagerduty": (providers.pagerduty, lambda url: {"url": url, "routing_key": KEY}),
    "webhook": (providers.alertmanager, lambda url: {"url": url}),
    "sms": (lambda _request: Reply(201), lambda url: {"url": url, "fields": {"To": "+15550111", "Body": "{text}"}}),
}
SECRETS = ("secretsecretsecret", KEY)


def made(type_: str, **settings: Any) -> Target:
    """A target with these settings."""
    return make_target(TARGETS[type_].model_validate({"type": type_, **settings}))


@pytest.fixture(params=WEB)
def web(request: pytest.FixtureRequest) -> Iterator[tuple[Receiver, Target]]:
    provider, settings = WEB[request.param]
    with receiving(provider) as receiver:
        yield receiver, made(request.param, **settings(receiver.url()))


def test_every_kind_of_notice_is_taken(web: tuple[Receiver, Target]) -> None:
    receiver, target = web
    for kind in Kind:
        target.deliver(message(notice(kind)))
    assert receiver.accepted == receiver.requests
    assert len(receiver.requests) >= len(Kind)


def test_several_at_once(web: tuple[Receiver, Target]) -> None:
    receiver, target = web
    notices = [notice(of=condition(f"failed/backup/job{number}")) for number in range(max(1, target.shown - 1))]
    target.deliver(message(*notices, notice(Kind.RECOVERED), more=12))
    assert receiver.accepted == receiver.requests


def test_whoever_asks_for_patience_is_heard(web: tuple[Receiver, Target]) -> None:
    receiver, target = web
    for status in (429, 503):
        receiver.answers = [Reply(status, headers=(("Retry-After", "17"),))]
        with pytest.raises(NotificationError) as caught:
            target.deliver(message())
        assert caught.value.retry_after == 17
        assert str(status) in caught.value.message


@pytest.mark.parametrize("status", [400, 401, 404, 410, 500])
def test_a_refusal_names_no_secret(web: tuple[Receiver, Target], status: int) -> None:
    receiver, target = web
    MASKER.add(KEY)  # which not every kind has in its own settings
    receiver.answers = [Reply(status, json.dumps({"message": f"no {receiver.url()} {KEY}"}).encode())]
    with pytest.raises(NotificationError) as caught:
        target.deliver(message())
    told = caught.value.message + caught.value.hint
    assert f"127.0.0.1 answered {status}" in told
    assert not any(secret in told for secret in SECRETS)


def test_secrets_do_not_follow_a_redirect(web: tuple[Receiver, Target]) -> None:
    receiver, target = web
    with receiving(providers.slack) as other:
        for status in (301, 302, 307, 308):
            receiver.answers = [Reply(status, headers=(("Location", other.url()),))]
            with pytest.raises(NotificationError, match="redirects are not followed"):
                target.deliver(message())
        assert not other.requests


@pytest.mark.parametrize("type_", ["slack", "discord", "teams", "pagerduty"])
def test_a_secret_address_needs_tls(type_: str) -> None:
    settings = WEB[type_][1]("http://hooks.example.org/services/secretsecretsecret")
    with pytest.raises(NotificationError, match="must begin with https://") as caught:
        made(type_, **settings).deliver(message())
    assert "secretsecret" not in caught.value.message


def test_tls_is_verified(web: tuple[Receiver, Target], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    type_ = request.node.callspec.params["web"]
    provider, settings = WEB[type_]
    by = authority(tmp_path, "authority")
    with receiving(provider, issue(tmp_path, "server", by).pem) as receiver:
        with pytest.raises(NotificationError, match=r"certificate of 127\.0\.0\.1 is not to be trusted"):
            made(type_, **settings(receiver.url())).deliver(message())
        assert not receiver.requests
        made(type_, ca_bundle=by.pem, **settings(receiver.url())).deliver(message())
        assert receiver.accepted


def test_a_missing_secret_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLACK_WEBHOOK", raising=False)
    with pytest.raises(ConfigError, match="SLACK_WEBHOOK is not set"):
        made("slack", url={"env": "SLACK_WEBHOOK"}).deliver(message())


def test_slack_calls_nobody() -> None:
    with receiving(providers.slack) as receiver:
        made("slack", url=receiver.url()).deliver(message(notice(of=condition(job="<!channel> & <@U012>"))))
        (sent,) = receiver.requests
    assert "<!channel>" not in sent.json["text"]
    assert "&lt;!channel&gt; &amp; &lt;@U012&gt;" in sent.json["blocks"][1]["text"]["text"]


def test_discord_keeps_what_else_the_address_says() -> None:
    with receiving(providers.discord) as receiver:
        made("discord", url=receiver.url("/api/webhooks/1/token?thread_id=7&wait=false")).deliver(message())
        (sent,) = receiver.requests
    assert parse_qs(sent.path.partition("?")[2]) == {"thread_id": ["7"], "wait": ["true"]}


def test_teams_tells_of_a_failure_with_200() -> None:
    with receiving(providers.teams) as receiver:
        receiver.answers = [Reply(200, b"Webhook message delivery failed with error: HTTP error 429")]
        with pytest.raises(NotificationError, match="failed to deliver"):
            made("teams", url=receiver.url()).deliver(message())


def test_pagerduty_resolves_what_it_triggered() -> None:
    with receiving(providers.pagerduty) as receiver:
        target = made("pagerduty", url=receiver.url(), routing_key=KEY)
        for kind in (Kind.OPEN, Kind.STILL, Kind.ACKNOWLEDGED, Kind.RECOVERED):
            target.deliver(message(notice(kind)))
        events = [request.json for request in receiver.accepted]
        assert [event["event_action"] for event in events] == ["trigger", "trigger", "acknowledge", "resolve"]
        assert {event["dedup_key"] for event in events} == {"drtool/db1/failed/backup/nightly"}
        target.deliver(message(notice(Kind.TEST)))
        assert [request.json["event_action"] for request in receiver.accepted[4:]] == ["trigger", "resolve"]


def test_webhook_sends_its_headers() -> None:
    with receiving(providers.alertmanager) as receiver:
        settings = {"url": receiver.url(), "headers": {"Authorization": "Bearer secretsecretsecret"}}
        made("webhook", **settings).deliver(message(notice(), notice(Kind.RECOVERED, condition("disk/state"))))
        (sent,) = receiver.accepted
    assert sent.headers["authorization"] == "Bearer secretsecretsecret"
    assert sent.json["status"] == "firing"
    assert [alert["status"] for alert in sent.json["alerts"]] == ["firing", "resolved"]
    assert sent.json["alerts"][0]["labels"]["alertname"] == "drtool_failed"


@pytest.mark.parametrize(("method", "encoding"), [("POST", "form"), ("POST", "json"), ("PUT", "json"), ("GET", "form")])
def test_sms_gateways(method: str, encoding: str) -> None:
    with receiving(lambda _request: Reply(200)) as receiver:
        target = made(
            "sms",
            url=receiver.url("/2010-04-01/Messages.json"),
            method=method,
            encoding=encoding,
            fields={"To": "+15550111", "Body": "{text}"},
            secrets={"api_key": "secretsecretsecret"},
            user="AC123",
            password="token",
        )
        target.deliver(message())
        (sent,) = receiver.requests
    assert sent.method == method
    assert sent.headers["authorization"] == "Basic QUMxMjM6dG9rZW4="
    if encoding == "json":
        fields = sent.json
    else:
        encoded = sent.body.decode() if method == "POST" else sent.path.partition("?")[2]
        fields = {name: values[0] for name, values in parse_qs(encoded).items()}
    assert fields["To"] == "+15550111"
    assert fields["api_key"] == "secretsecretsecret"
    assert fields["Body"] == "drtool CRITICAL: Backup of nightly failed: app: the server does not answer (db1)"


def test_command(tmp_path: Path) -> None:
    program, out = tmp_path / "notify.sh", tmp_path / "out"
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {out}.arguments\ncat > {out}\n')
    program.chmod(0o755)
    made("command", command=[str(program), "a b", "$(id)"]).deliver(message(notice(), notice(Kind.RECOVERED)))
    told = json.loads(out.read_text())
    assert [alert["kind"] for alert in told["alerts"]] == ["open", "recovered"]
    assert told["alerts"][0]["alert"] == "failed/backup/nightly"
    assert (tmp_path / "out.arguments").read_text() == "a b|$(id)|"


@pytest.mark.parametrize(
    ("script", "timeout", "said"),
    [
        ("echo first >&2; echo no such channel >&2; exit 3", "60s", "ended with exit code 3: no such channel"),
        ("sleep 60 & sleep 60", "300ms", "did not end within 0.3 s"),
    ],
)
def test_a_command_that_fails(script: str, timeout: str, said: str) -> None:
    with pytest.raises(NotificationError, match=said):
        made("command", command=["/bin/sh", "-c", script], timeout=timeout).deliver(message())


def test_a_command_that_leaves_something_running_has_taken_it() -> None:
    script = "cat >/dev/null; sleep 20 & exit {}"
    made("command", command=["/bin/sh", "-c", script.format(0)], timeout="1s").deliver(message())
    with pytest.raises(NotificationError, match="exit code 3"):
        made("command", command=["/bin/sh", "-c", script.format(3)], timeout="1s").deliver(message())


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(NotificationError, match="cannot be started: No such file"):
        made("command", command=["/no/such/program"]).deliver(message())
