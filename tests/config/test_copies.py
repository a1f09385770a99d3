"""Second repositories in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from drtool.config.loading import parse_config
from drtool.errors import ConfigError
from tests.config.samples import FILE, VALID, problems

_COPIES = """\
  copies:
    - url: s3://acme-second/prod/
      region: eu-west-1
      profile: second
      object_lock: {days: 30}
    - url: ../copy
      agent_key: {env: NO_SUCH_VARIABLE}
"""


def _with(copies: str) -> str:
    return VALID.replace("sources:\n  app:", f"{copies}sources:\n  app:", 1)


def test_they_are_read() -> None:
    one, other = parse_config(_with(_COPIES), FILE).repository.copies
    assert (one.url, one.region, one.profile, one.agent_key) == (
        "s3://acme-second/prod",
        "eu-west-1",
        "second",
        None,
    )
    assert one.object_lock is not None
    assert one.object_lock.days == 30
    assert Path(other.url) == FILE.parent.parent / "copy"
    assert other.agent_key is not None
    with pytest.raises(ConfigError, match=r"repository\.copies\[1\]\.agent_key: environment variable"):
        other.agent_key.reveal()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("profile:", "profil:", "unknown key; did you mean 'profile'?"),
        ("s3://acme-second/prod/", "ftp://x", "must be s3://BUCKET/PREFIX or a directory"),
        ("{env: NO_SUCH_VARIABLE}", "DRTOOL", "a key does not belong in the configuration itself"),
        ("    - url: ../copy\n", "    - region: x\n", "is required"),
    ],
)
def test_mistakes_are_told(old: str, new: str, expected: str) -> None:
    [problem] = [one for one in problems(_with(_COPIES).replace(old, new)) if expected in one]
    assert "repository.copies[" in problem


def test_a_directory_has_no_region() -> None:
    text = _with("  copies:\n    - {url: ../copy, region: eu-west-1}\n")
    assert any("has a meaning only for an s3:// repository" in one for one in problems(text))
