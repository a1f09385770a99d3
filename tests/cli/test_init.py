"""``drtool init``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import ROOT, Ended, command, environment
from tests.cli.terminals import read_until, terminal
from tests.operations.site import drtool

Init = Callable[..., Ended]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's directory."""
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def init(home: Path) -> Init:
    """Runs ``drtool init`` in it."""

    def call(*arguments: str, json: bool = True) -> Ended:
        return drtool("init", *arguments, *(["--json"] if json else []), cwd=home, env=_homes(home))

    return call


def _homes(home: Path) -> dict[str, str]:
    return {
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
    }


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _left(home: Path) -> set[str]:
    return {path.name for path in home.iterdir()}


def test_makes_repository_keys_and_configuration(home: Path, init: Init) -> None:
    result = init("--repository", "repo", "--identity-out", "identity.key").result
    assert result["url"] == str(home / "repo")
    assert result["agent_key"] == str(home / "agent.key")
    assert result["identity"] == str(home / "identity.key")
    assert result["config"] == str(home / "drtool.yaml")
    assert [_mode(home / name) for name in ("agent.key", "identity.key", "drtool.yaml")] == [0o600] * 3
    assert _mode(home / "repo") == 0o700
    assert (home / "repo" / "repository.json").is_file()
    assert (home / "repo" / "keys" / result["fingerprint"]).is_file()
    checked = drtool("config", "check", "--json", cwd=home, env={**_homes(home), "MONGODB_URI": "mongodb://h"})
    assert checked.result["jobs"] == ["nightly"]
    listed = drtool("snapshots", "--json", cwd=home, env={**_homes(home), "MONGODB_URI": "mongodb://h"})
    assert listed.code == 0


def test_says_what_to_do_with_the_keys(init: Init) -> None:
    ended = init("--repository", "repo", "--identity-out", "identity.key", json=False)
    assert ended.code == 0
    for word in ("agent key", "identity", "configuration", "Next: drtool backup"):
        assert word in ended.out


def test_configuration_elsewhere_has_its_agent_key_beside_it(home: Path, init: Init) -> None:
    (home / "etc").mkdir()
    result = init("--config", "etc/drtool.yaml", "--repository", "repo", "--identity-out", "identity.key").result
    assert result["url"] == str(home / "repo")
    assert result["agent_key"] == str(home / "etc" / "agent.key")
    arguments = ("snapshots", "--json", "--config", "etc/drtool.yaml")
    assert drtool(*arguments, cwd=home, env={**_homes(home), "MONGODB_URI": "mongodb://h"}).code == 0


@pytest.mark.parametrize("name", ["agent.key", "identity.key"])
def test_refuses_files_that_exist(home: Path, init: Init, name: str) -> None:
    (home / name).write_text("precious")
    ended = init("--repository", "repo", "--identity-out", "identity.key")
    assert (ended.code, ended.result["error"]["kind"]) == (20, "refused")
    assert str(home / name) in ended.result["error"]["message"]
    hint = ended.result["error"]["hint"]
    assert ("no init is needed" in hint, "Move it away" in hint) == (name == "identity.key", name == "agent.key")
    assert (home / name).read_text() == "precious"
    assert _left(home) == {name}


def test_refuses_a_repository_that_exists(home: Path, init: Init) -> None:
    assert init("--repository", "repo", "--identity-out", "identity.key").code == 0
    before = (home / "repo" / "repository.json").read_bytes()
    for name in ("agent.key", "identity.key", "drtool.yaml"):
        (home / name).unlink()
    ended = init("--repository", "repo", "--identity-out", "identity.key")
    assert (ended.code, ended.result["error"]["kind"]) == (20, "repository-exists")
    assert (home / "repo" / "repository.json").read_bytes() == before
    assert not _left(home) & {"agent.key", "identity.key", "drtool.yaml"}


def test_refuses_another_repository_than_the_configuration_names(home: Path, init: Init) -> None:
    assert init("--repository", "repo", "--identity-out", "identity.key").code == 0
    environment_ = {**_homes(home), "MONGODB_URI": "mongodb://h"}
    other = drtool("init", "--repository", "other", "--identity-out", "x.key", "--json", cwd=home, env=environment_)
    assert other.code == 20
    same = drtool("init", "--repository", "./repo", "--identity-out", "x.key", "--json", cwd=home, env=environment_)
    assert (same.code, "agent.key exists already" in same.result["error"]["message"]) == (20, True)


def test_without_a_terminal_the_identity_needs_its_option(home: Path, init: Init) -> None:
    ended = init("--repository", "repo")
    assert ended.code == 2
    assert "--identity-out" in ended.result["error"]["hint"]
    assert _left(home) == set()


def test_without_a_repository(init: Init) -> None:
    ended = init("--identity-out", "identity.key")
    assert ended.code == 2
    assert "--repository" in ended.result["error"]["hint"]


def test_asks_on_a_terminal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as (stream, screen):
        process = subprocess.Popen(
            command("init", "--repository", "repo"),
            cwd=home,
            env=environment({**_homes(home), "TERM": "xterm", "PYTHONPATH": str(ROOT)}),
            stdin=stream,
            stdout=subprocess.PIPE,
            stderr=stream,
        )
        try:
            read_until(screen, "Write identity.key to")
            os.write(screen, b"elsewhere.key\n")
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.communicate()
    assert (home / "elsewhere.key").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--repository", "missing/repo", "--identity-out", "identity.key"), "missing"),
        (("--repository", "file/repo", "--identity-out", "identity.key"), "file"),
        (("--repository", "file", "--identity-out", "identity.key"), "file"),
        (("--repository", "repo", "--identity-out", "missing/identity.key"), "missing/identity.key"),
        (("--repository", "repo", "--identity-out", "file/identity.key"), "file/identity.key"),
        (("--config", "missing/drtool.yaml", "--repository", "repo", "--identity-out", "i.key"), "missing/drtool.yaml"),
        (("--repository", "repo", "--identity-out", "/dev/full/identity.key"), "/dev/full"),
        (("--repository", "/sys/repo", "--identity-out", "identity.key"), "/sys/repo"),
        (("--repository", "ftp://host/x", "--identity-out", "identity.key"), "s3://BUCKET/PREFIX"),
        (("--repository", "s3://u:p@bucket", "--identity-out", "identity.key"), "credentials"),
    ],
)
def test_places_where_nothing_can_be_made(home: Path, init: Init, arguments: tuple[str, ...], said: str) -> None:
    (home / "file").write_text("a file")
    ended = init(*arguments)
    assert ended.code in (1, 2)
    assert ended.result["error"]["kind"] != "internal", ended.err
    assert said in ended.result["error"]["message"]
    assert _left(home) == {"file"}
    assert (home / "file").read_text() == "a file"


def test_keys_that_cannot_be_saved_take_the_repository_along(
    home: Path, init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, _text: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("drtool.operations.init._write", write)
    ended = init("--repository", "repo", "--identity-out", "identity.key")
    assert ended.code == 1
    assert "No space left" in ended.result["error"]["message"]
    assert not _left(home) & {"agent.key", "identity.key", "drtool.yaml"}
    assert not (home / "repo" / "repository.json").exists()
    monkeypatch.undo()
    assert init("--repository", "repo", "--identity-out", "identity.key").code == 0
