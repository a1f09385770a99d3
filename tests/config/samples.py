"""Configurations that tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from drtool.config.loading import parse_config
from drtool.config.root import Config
from drtool.errors import ConfigError

FILE = Path("/etc/drtool/drtool.yaml")

VALID = """\
repository:
  url: s3://acme-backups/prod
  region: eu-central-1
  endpoint_url: https://s3.example.org
  agent_key: {file: agent.key}
sources:
  app:
    type: mongodb
    uri: mongodb://127.0.0.1:27017
    databases: [shop]
jobs:
  nightly:
    sources: [app]
"""


def read(text: str, environment: dict[str, str] | None = None) -> Config:
    """The configuration that `text` is."""
    return parse_config(text, FILE, environment or {})


def problems(text: str, environment: dict[str, str] | None = None) -> list[str]:
    """What is said about `text`, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        read(text, environment)
    lines = caught.value.message.splitlines()
    assert all(line.startswith(f"{FILE}:") for line in lines), lines
    return [line.removeprefix(f"{FILE}:") for line in lines]


def changed(old: str, new: str) -> str:
    """The valid sample with one piece of it replaced."""
    assert VALID.count(old) == 1, old
    return VALID.replace(old, new)
