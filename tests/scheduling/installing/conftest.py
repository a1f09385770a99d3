"""A configuration to install, and the call that it comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from drtool.config.loading import load_config
from drtool.config.root import Config
from drtool.scheduling.installing.calling import Call

TEXT = """\
repository:
  url: s3://acme-backups/prod
  agent_key: {file: agent.key}
  identity: {file: /media/usb/identity.key}
  state_dir: state
sources:
  app: {type: mongodb, uri: "${MONGODB_URI}", databases: ["${DATABASE:-app}"]}
  cache: {type: redis, uri: {env: REDIS_URI}}
jobs:
  nightly: {sources: [app, cache], schedule: "0 2 * * *"}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """It takes two addresses from the environment, which holds them; its store's credentials are there as well."""
    for name, value in {
        "MONGODB_URI": "mongodb://backup:s3cret-word@127.0.0.1:27017/?replicaSet=rs0",
        "REDIS_URI": "redis://:an0ther-word@127.0.0.1:6379/0",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "k3y-of-the-bucket",
        "AWS_PROFILE": "backups",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_SESSION_TOKEN", "DATABASE"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "drtool.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return load_config(path)


@pytest.fixture
def call(config: Config) -> Call:
    """With a file of variables, and a search path."""
    return Call(Path("/opt/drtool/bin/drtool"), config.path, {"PATH": "/usr/bin:/bin"}, config.path.parent / "env")
