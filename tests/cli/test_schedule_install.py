"""drtool schedule install and remove: shown first, agreed to, and nothing of anybody else's touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from drtool.operations.unattended.configuration.keeping import last_good
from drtool.scheduling.installing.systemd import Systemd
from tests.cli.running import Ended
from tests.operations.site import drtool
from tests.scheduling.installing.standins import crontab_in, systemctl_in

_TEXT = """\
repository: {url: "${REPOSITORY_URL:-./repo}", agent_key: {file: agent.key}, state_dir: state, cache_dir: cache}
sources: {app: {type: mongodb, uri: "${MONGODB_URI}"}, code: {type: files, paths: [tree]}}
jobs: {nightly: {sources: [app, code], schedule: "0 2 * * *"}}
"""
_URI = "mongodb://backup:s3cret-word@127.0.0.1:27017/"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose crontab and units lie in a directory, and that systemd does not run."""
    monkeypatch.setenv("MONGODB_URI", _URI)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Systemd, "of_this_account", lambda: Systemd(tmp_path / "units", user=False, booted=False))
    (tmp_path / "drtool.yaml").write_text(_TEXT, encoding="utf-8")
    (tmp_path / "drtool.env").write_text(f"MONGODB_URI='{_URI}'\n", encoding="utf-8")
    (tmp_path / "drtool.env").chmod(0o600)
    return tmp_path


@pytest.fixture
def table(host: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = crontab_in(host, monkeypatch)
    path.write_text("# mine\n", encoding="utf-8")
    return path


def _schedule(host: Path, *arguments: str, json: bool = False) -> Ended:
    options = ["--config", str(host / "drtool.yaml"), *(["--json"] if json else [])]
    return drtool(*options, "schedule", *arguments, cwd=host, env=dict(os.environ))


def test_the_configuration_is_kept_where_a_confined_service_could_not_note_it(host: Path, table: Path) -> None:
    assert last_good(host / "drtool.yaml") is None
    assert _schedule(host, "install", "--cron", "--env-file", "drtool.env", "--print").code == 0
    assert last_good(host / "drtool.yaml") is None
    assert _schedule(host, "install", "--cron", "--env-file", "drtool.env", "--yes").code == 0
    assert table.read_text().startswith("# mine\n")
    (host / "drtool.yaml").unlink()
    kept = last_good(host / "drtool.yaml")
    assert kept is not None
    assert (kept.text, kept.state_dir) == (_TEXT, host / "state")


def test_the_difference_is_shown_and_nothing_is_done_unasked(host: Path, table: Path) -> None:
    ended = _schedule(host, "install", "--cron", "--env-file", "drtool.env")
    assert ended.code == 2
    assert "Add --yes if it is meant" in ended.err
    assert "+* * * * * env PATH=" in ended.out
    assert "\n # mine\n" in ended.out
    assert table.read_text(encoding="utf-8") == "# mine\n"


def test_cron_in_and_out(host: Path, table: Path) -> None:
    ended = _schedule(host, "install", "--cron", "--env-file", "drtool.env", "--every", "5m", "--yes", json=True)
    assert ended.code == 0
    [change] = [line for line in ended.lines if line["type"] == "change"]
    assert change["name"].startswith("crontab of ")
    assert (ended.result["installed"], ended.result["every"]) == ("cron", 300)
    assert table.read_text(encoding="utf-8").startswith("# mine\n# >>> drtool ")
    assert "s3cret-word" not in table.read_text(encoding="utf-8")
    again = _schedule(host, "install", "--cron", "--env-file", "drtool.env", "--every", "5m")
    assert again.code == 0
    assert "nothing changes" in again.out
    assert _schedule(host, "remove").code == 2
    (host / "drtool.yaml").unlink()
    removed = _schedule(host, "remove", "--yes")
    assert removed.code == 0
    assert table.read_text(encoding="utf-8") == "# mine\n"
    assert "nothing is installed" in _schedule(host, "remove").out


def test_a_file_of_variables_is_made_once_it_is_agreed_to(host: Path, table: Path) -> None:
    assert _schedule(host, "install", "--cron", "--env-file", "new.env").code == 2
    assert not (host / "new.env").exists()
    ended = _schedule(host, "install", "--cron", "--env-file", "new.env", "--yes")
    assert f"{host / 'new.env'} will be made, for this user only, with MONGODB_URI" in ended.out
    assert "s3cret-word" not in ended.out + ended.err
    assert f"MONGODB_URI='{_URI}'\n" in (host / "new.env").read_text(encoding="utf-8")
    assert str(host / "new.env") in table.read_text(encoding="utf-8")


def test_without_its_variables_nothing_is_installed(host: Path, table: Path) -> None:
    ended = _schedule(host, "install", "--cron", "--yes")
    assert ended.code == 2
    assert "takes MONGODB_URI from the environment" in ended.err
    assert table.read_text(encoding="utf-8") == "# mine\n"


def test_printing_changes_nothing(host: Path, table: Path) -> None:
    cron = _schedule(host, "install", "--cron", "--env-file", "drtool.env", "--print")
    assert cron.out.startswith("# >>> drtool ")
    units = _schedule(host, "install", "--systemd", "--env-file", "drtool.env", "--print", json=True)
    names = [Path(line["name"]).name for line in units.lines if line["type"] == "file"]
    assert names == ["drtool.service", "drtool.timer"]
    assert not (host / "units").exists()
    assert table.read_text(encoding="utf-8") == "# mine\n"


def test_units_in_and_out_where_systemd_does_not_run(host: Path, table: Path) -> None:
    ended = _schedule(host, "install", "--systemd", "--env-file", "drtool.env", "--follow", "app", "--yes")
    assert ended.code == 0, ended.err
    assert "systemd does not run this host just now" in ended.err
    assert "systemctl enable drtool-capture.service drtool.timer" in ended.out
    assert sorted(path.name for path in (host / "units").iterdir()) == [
        "drtool-capture.service",
        "drtool.service",
        "drtool.timer",
    ]
    assert (host / "cache").is_dir(), "a unit may write to what is there"
    removed = _schedule(host, "remove", "--yes", json=True)
    assert len(removed.result["changed"]) == 3
    assert not list((host / "units").iterdir())


def test_systemd_is_told(host: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = systemctl_in(host, monkeypatch)
    monkeypatch.setattr(Systemd, "of_this_account", lambda: Systemd(host / "units", user=False, booted=True))
    assert _schedule(host, "install", "--env-file", "drtool.env", "--yes").code == 0
    told = calls.read_text(encoding="utf-8").splitlines()
    assert told == ["daemon-reload", "enable drtool.timer", "restart drtool.timer"]
    assert _schedule(host, "remove", "--systemd", "--yes").code == 0
    assert calls.read_text(encoding="utf-8").splitlines()[-1] == "daemon-reload"
    assert table.read_text(encoding="utf-8") == "# mine\n"


def test_manifests_are_printed(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the repository is a directory" in _schedule(host, "install", "--kubernetes").err
    monkeypatch.setenv("REPOSITORY_URL", "s3://acme-backups/prod")
    ended = _schedule(host, "install", "--kubernetes", "--image", "r.example.org/d:1", "--namespace", "backups")
    objects = list(yaml.safe_load_all(ended.out))
    assert {one["metadata"]["namespace"] for one in objects} == {"backups"}
    assert "a pod has none of this host's files: give it a volume for code" in ended.err
    as_json = _schedule(host, "install", "--kubernetes", json=True)
    assert as_json.result["secret_keys"] == ["MONGODB_URI", "REPOSITORY_URL", "agent.key"]
    [manifests] = [line for line in as_json.lines if line["type"] == "file"]
    assert len(list(yaml.safe_load_all(manifests["content"]))) == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--cron", "--systemd"], "exclude each other"),
        (["--cron", "--follow", "app"], "--follow and --writable go with --systemd"),
        (["--cron", "--image", "x"], "--image goes with --kubernetes"),
        (["--kubernetes", "--env-file", "x"], "--env-file does not go with --kubernetes"),
        (["--cron", "--every", "7m"], "minutes that divide an hour"),
        (["--systemd", "--env-file", "drtool.env", "--follow", "code"], "has no log: code"),
        (["--systemd", "--env-file", "drtool.env", "--follow", "none"], "there is no source 'none'"),
    ],
)
def test_what_makes_no_sense_is_refused(host: Path, table: Path, arguments: list[str], sentence: str) -> None:
    ended = _schedule(host, "install", "--yes", *arguments)
    assert ended.code == 2
    assert sentence in ended.err
