"""Secrets: where they come from, and that they go nowhere else."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drtool.config import secrets
from drtool.config.loading import parse_config
from drtool.config.secrets import Secret
from drtool.config.source_types.mongodb import MongoSettings
from drtool.errors import ConfigError
from tests.config.samples import VALID, changed, problems, read

HIDDEN = "hunter2"


def source_uri(text: str, directory: Path) -> Secret:
    """The address in the sample, given as `text` in a file in `directory`."""
    source = parse_config(changed("mongodb://127.0.0.1:27017", text), directory / "drtool.yaml").sources["app"]
    assert isinstance(source, MongoSettings)
    return source.uri


def key_file(text: str, directory: Path) -> Secret:
    """The agent key in the sample, given as `text`."""
    key = parse_config(changed("{file: agent.key}", text), directory / "drtool.yaml").repository.agent_key
    assert key is not None
    return key


def test_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "uri").write_text("mongodb://h\n")
    assert source_uri("{file: uri}", tmp_path).reveal() == "mongodb://h"


def test_only_one_newline_goes(tmp_path: Path) -> None:
    (tmp_path / "uri").write_text(" x \n\n")
    assert source_uri("{file: uri}", tmp_path).reveal() == " x \n"


def test_from_a_file_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "uri").write_text("mongodb://h")
    assert source_uri("{file: ~/uri}", Path("/elsewhere")).reveal() == "mongodb://h"


def test_from_a_command_without_a_shell(tmp_path: Path) -> None:
    script = tmp_path / "say"
    script.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv[1:])\n")
    script.chmod(0o755)
    assert source_uri("{command: './say $HOME \"a b\" | cat'}", tmp_path).reveal() == "['$HOME', 'a b', '|', 'cat']"
    assert source_uri("{command: [./say, a b]}", tmp_path).reveal() == "['a b']"


def test_from_the_environment_when_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRTOOL_TEST_URI", raising=False)
    uri = source_uri("{env: DRTOOL_TEST_URI}", tmp_path)
    with pytest.raises(ConfigError, match=r"^sources\.app\.uri: environment variable DRTOOL_TEST_URI is not set$"):
        uri.reveal()
    monkeypatch.setenv("DRTOOL_TEST_URI", "mongodb://h")
    assert uri.reveal() == "mongodb://h"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{file: nowhere}", "cannot read .*/nowhere: No such file"),
        ("{file: binary}", "is not text in UTF-8"),
        ("{file: blank}", "the file gives nothing"),
        ("{command: /no/such/program}", "cannot be started: No such file"),
        (f"{{command: [sh, -c, 'echo {HIDDEN}; exit 3']}}", "failed with exit code 3"),
        ("{command: 'true'}", "the command gives nothing"),
    ],
)
def test_cannot_be_had(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "blank").write_bytes(b"\n")
    with pytest.raises(ConfigError, match=rf"^repository\.agent_key: .*{expected}") as caught:
        key_file(text, tmp_path).reveal()
    assert HIDDEN not in f"{caught.value!r} {caught.value} {caught.value.hint}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_command_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "COMMAND_SECONDS", 0.1)
    with pytest.raises(ConfigError, match="did not end within"):
        key_file("{command: [sleep, '60']}", tmp_path).reveal()


@pytest.mark.parametrize(
    "text",
    [
        "{fil: x}",
        "{file: a, env: B}",
        "{}",
        "[a]",
        "{file: 3}",
        "{command: [a, 3]}",
        "{command: []}",
        "{env: ''}",
        "''",
    ],
)
def test_malformed(text: str) -> None:
    [problem] = problems(changed("{file: agent.key}", text))
    assert problem.startswith("5: repository.agent_key: ")


def test_a_key_is_refused_in_place() -> None:
    [problem] = problems(changed("{file: agent.key}", HIDDEN))
    assert problem.startswith(
        "5: repository.agent_key: a key does not belong in the configuration itself; write {file: PATH}"
    )
    assert HIDDEN not in problem


def test_an_unmatched_quotation_mark_is_not_repeated() -> None:
    [problem] = problems(changed("{file: agent.key}", f'{{command: "echo \\"{HIDDEN}"}}'))
    assert "quotation marks" in problem
    assert HIDDEN not in problem


@given(st.text(min_size=8))
def test_in_no_representation(value: str) -> None:
    secret = Secret.of(value)
    assert secret.reveal() == value
    for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}", repr(secret.named("a.b"))):
        assert shown in ("Secret(secret, from text)", "[Secret(secret, from text)]", "Secret(a.b, from text)")
    assert pickle.loads(pickle.dumps(secret)) == secret


def test_in_no_dump_of_the_configuration() -> None:
    config = read(changed("127.0.0.1", f"u:{HIDDEN}@127.0.0.1"))
    source = config.sources["app"]
    assert isinstance(source, MongoSettings)
    assert HIDDEN in source.uri.reveal()
    for shown in (repr(config), str(config), repr(config.model_dump()), json.dumps(config.model_dump(mode="json"))):
        assert HIDDEN not in shown
    assert "from text" in config.model_dump_json()


ANYWHERE = [line for line in VALID.splitlines() if ": " in line.strip()]


@given(st.sampled_from(ANYWHERE), st.sampled_from(["", "[", "{", "s3://u:", "http://u:", "mongodb:/", "!", "${", "\\"]))
def test_in_no_error_wherever_it_is_put_by_mistake(line: str, before: str) -> None:
    name = line.partition(": ")[0]
    text = VALID.replace(line, f"{name}: {before}{HIDDEN}@h")
    assert HIDDEN not in _complaint(text)


def _complaint(text: str) -> str:
    try:
        read(text)
    except ConfigError as error:
        return f"{error.message} {error.hint}"
    return ""
