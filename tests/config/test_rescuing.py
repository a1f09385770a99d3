"""What can be made of a broken configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from drtool.config.loading import parse_config
from drtool.config.notify import EmailSettings
from drtool.config.repository import RepositorySettings
from drtool.config.rescuing import rescued, state_dir_in
from drtool.errors import ConfigError

_FILE = Path("/etc/drtool/drtool.yaml")
_NAMES = st.text("abcXYZ019 éß-_./~:#", min_size=1, max_size=30).filter(lambda name: not name.startswith("~"))


@given(
    _NAMES, st.sampled_from([None, True, False]), st.sampled_from(["", "\njobs: {a: 1}\n]", "\n\t- x: [", "\nx: 'y"])
)
def test_the_state_directory_is_the_one_that_a_sound_file_would_mean(name: str, flow: bool | None, damage: str) -> None:
    content = {
        "repository": {"url": "/srv/backups", "state_dir": name},
        "sources": {"tree": {"type": "files", "paths": ["/srv"]}},
        "jobs": {"nightly": {"sources": ["tree"]}},
    }
    text = yaml.safe_dump(content, allow_unicode=True, default_flow_style=flow, width=1000)
    meant = parse_config(text, _FILE, {}).repository.state_dir
    assert state_dir_in(text + damage, _FILE, {}) == meant


@pytest.mark.parametrize(
    "text",
    [
        "repository: {state_dir: /srv/x, url: " + "[" * 1000,
        "repository:\n  # state_dir: /a\n  state_dir: /srv/x  # where there is room\n  url: [",
        "repository: {url: x, state_dir: /srv/x  # where there is room",
        "repository: {state_dir: '/srv/x', url: [",
        "repository: {state_dir: /srv/x}\nrepository: {}\n]",
    ],
)
def test_of_what_is_no_yaml_the_first_line_counts(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_config(text, _FILE, {})
    assert state_dir_in(text, _FILE, {}) == Path("/srv/x")


@pytest.mark.parametrize("text", ["", "[", "repository: s3://x", "repository: {state_dir: [1]}", "a: state_dir", "- 1"])
def test_where_it_names_none(text: str) -> None:
    assert state_dir_in(text, _FILE, {}) is None


def test_variables_are_filled_in() -> None:
    assert state_dir_in("repository: {state_dir: '${HERE}/x'}", _FILE, {"HERE": "/data"}) == Path("/data/x")
    assert state_dir_in("repository:\n  state_dir: ${HERE:-/srv}/x\n]", _FILE, {}) == Path("/srv/x")


def test_targets_are_read_one_by_one() -> None:
    text = """
repository: {url: "${NOT_SET}"}
notify:
- {type: slack, name: sound, url: {file: slack}}
- {type: slack, name: unset, url: "https://example.org/${NOT_SET}"}
- {type: slack, name: odd, uri: x}
- {type: pigeon}
- nonsense
- {type: email, host: mail, from: a@example.org, to: [b@example.org], password: {env: NOT_SET}, user: a}
metrics: {textfile: drtool.prom}
"""
    found = rescued(text, _FILE, RepositorySettings(url="/srv/backups", state_dir=Path("/srv/state")), {})
    assert [target.label for target in found.config.notify] == ["sound", "email"]
    assert [sentence.split()[2] for sentence in found.left_out] == ["unset", "odd", "pigeon", "without"]
    assert "environment variable NOT_SET is not set" in found.left_out[0]
    assert found.config.metrics is not None
    assert found.config.metrics.textfile == _FILE.parent / "drtool.prom"
    assert (found.config.path, found.config.repository.url, found.config.jobs) == (_FILE, "/srv/backups", {})
    email = found.config.notify[1]
    assert isinstance(email, EmailSettings)
    assert email.password is not None
    with pytest.raises(ConfigError, match=r"notify\[5\].password"):
        email.password.reveal()
