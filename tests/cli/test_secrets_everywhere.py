"""Known secrets are thrown at every output: standard output and error, log, records, alerts, pings, hooks' output."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import pytest

from drtool.config.masking import MASKER
from drtool.errors import SourceError
from drtool.operations.backup import backup
from tests.cli.running import Ended
from tests.monitoring.checks import Check, checking
from tests.operations.unattended.attended_host import AttendedHost, python

PASSWORD = 'pa/ss:w"ord ü-4711'
URI = f"mongodb://drtool:{quote(PASSWORD, safe='')}@127.0.0.1:1/shop?serverSelectionTimeoutMS=100"
TOKEN = "tok-en/of=the+webhook"
PING = "0d5f5f34-1c5e-4f0e-9a9a-d1b2c3d4e5f6"
ENVIRONMENT = {"SHOP_URI": URI, "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG"}
SECRETS = (PASSWORD, TOKEN, PING, ENVIRONMENT["AWS_SECRET_ACCESS_KEY"])

#: Prints them in the ways that programs do, and fails.
CHATTY = f"""
import base64, json, sys
from urllib.parse import quote
for secret in {SECRETS!r}:
    print(secret, quote(secret, safe=""), json.dumps(secret), base64.b64encode(secret.encode()).decode(), sep="\\n")
print({URI!r}, file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


def forms() -> Iterator[bytes]:
    """What must be found nowhere."""
    for secret in (*SECRETS, URI):
        for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
            yield form.encode()
        yield base64.b64encode(secret.encode()).rstrip(b"=")


@pytest.fixture
def check() -> Iterator[Check]:
    with checking() as found:
        yield found
    MASKER.start_over({})


@pytest.fixture
def host(tmp_path: Path, check: Check) -> AttendedHost:
    """A host whose secrets come from all places that there are."""
    host = AttendedHost(tmp_path).set_up()
    (tmp_path / "token").write_text(TOKEN + "\n")
    talk = {name: [[*python(CHATTY), "1" if name == "on_error" else "0"]] for name in ("before", "after", "on_error")}
    host.write(
        {"hooks": talk, "ping": {"url": f"{check.url}/{PING}", "log": True}},
        jobs={"shop": {"sources": ["shop"], "hooks": talk}},
        sources={"shop": {"type": "mongodb", "uri": {"env": "SHOP_URI"}}},
        log={"file": "drtool.log"},
        metrics={"textfile": "drtool.prom"},
        notify=[{"type": "webhook", "url": f"{check.url}/alerts", "headers": {"X-Token": {"file": "token"}}}],
    )
    return host


def assert_clean(host: AttendedHost, check: Check, ended: Ended) -> None:
    """Nothing that left the process holds a secret."""
    kept = [path for path in host.directory.rglob("*") if path.is_file() and path.name not in ("drtool.yaml", "token")]
    own = [path for path in kept if path.suffix != ".key" and host.directory / "repo" not in path.parents]
    copies = [path for path in own if path.parent.name == "configurations"]  # the configuration itself, as secret as it
    assert [path.stat().st_mode & 0o777 for path in copies] == [0o600]
    own = [path for path in own if path not in copies]
    assert {"drtool.log", "runs.sqlite", "drtool.prom"} <= {path.name for path in own}
    outputs = {str(path): path.read_bytes() for path in own}
    outputs |= {"stdout": ended.out.encode(), "stderr": ended.err.encode()}
    outputs |= {f"{path.partition('?')[0][-9:]} {number}": body for number, (_, path, body) in enumerate(check.pings)}
    for name, content in outputs.items():
        for form in forms():
            assert form not in content, f"{form!r} in {name}"


def raising(error: Callable[[str], BaseException]) -> Callable[..., NoReturn]:
    def fail(*_: Any) -> NoReturn:
        text = " ".join([URI, *SECRETS, *map(json.dumps, SECRETS)])
        raise error(text)

    return fail


def test_hooks_that_print_them(host: AttendedHost, check: Check) -> None:
    ended = host.drtool("backup", "nightly", "-v", env=ENVIRONMENT)
    assert ended.code == 0, ended.err
    assert [path.replace(PING, "ID") for path in check.paths][:2] == ["/ID/start", "/ID"]
    assert "***" in ended.err
    assert "***" in (host.directory / "drtool.log").read_text()
    assert_clean(host, check, ended)


def test_a_server_that_does_not_answer(host: AttendedHost, check: Check) -> None:
    ended = host.drtool("backup", "shop", "-v", env=ENVIRONMENT)
    assert ended.code == 1
    assert ended.result["error"]["kind"] == "unreachable"
    assert "127.0.0.1:1" in ended.result["error"]["message"], "the host is no secret"
    assert "/alerts" in check.paths
    assert_clean(host, check, ended)


@pytest.mark.parametrize(
    "error",
    [
        lambda text: SourceError(text, hint=text),
        lambda text: KeyError(f"{text}\n{text}"),
    ],
)
def test_errors_that_quote_them(
    host: AttendedHost, check: Check, monkeypatch: pytest.MonkeyPatch, error: Callable[[str], BaseException]
) -> None:
    """As a driver's or a bug's would: no error of drtool's own does."""
    monkeypatch.setattr(backup, "back_up", raising(error))
    ended = host.drtool("backup", "-v", env=ENVIRONMENT)
    assert ended.code in (1, 3)
    assert "/alerts" in check.paths
    assert_clean(host, check, ended)


def test_arguments_in_the_log(host: AttendedHost, check: Check) -> None:
    ended = host.drtool("restore", "latest", "--to", "mongodb://u:of-an-argument@127.0.0.1:1/x", env=ENVIRONMENT)
    assert ended.code != 0
    text = (host.directory / "drtool.log").read_text()
    assert "mongodb://u:***@127.0.0.1:1/x" in text
    assert "of-an-argument" not in text
