"""What often called commands must not import: it is most of what they cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import drtool, imported

#: What reads a store or a database, and what speaks over a network.
_HEAVY = {"boto3", "botocore", "cryptography", "blake3", "zstandard", "xxhash", "numpy", "pymongo", "bson", "rich"}
_HEAVY |= {"asyncio", "ssl", "http.client", "smtplib", "drtool.monitoring.http", "drtool.storage", "drtool.sources"}
_HEAVY |= {"drtool.repository.repository", "drtool.repository.manifests", "drtool.repository.evidence"}


_CONFIG = """
repository: {url: HERE/repo, state_dir: HERE/state, cache_dir: HERE/cache, agent_key: {file: agent.key}}
sources: {code: {type: files, paths: [HERE/code]}}
jobs: {code: {sources: [code], schedule: "0 0 29 2 *", ping: {url: "https://ping.example.org/x"}}}
notify: [{type: command, command: ["true"]}]
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a configuration, of which nothing is due for years, and a repository that was asked just now."""
    directory = tmp_path_factory.mktemp("host")
    repository = ("--repository", str(directory / "repo"), "--identity-out", str(directory / "identity.key"))
    assert drtool("init", *repository, cwd=directory).code == 0
    (directory / "drtool.yaml").write_text(_CONFIG.replace("HERE", str(directory)))
    ended = drtool("schedule", "run", cwd=directory)
    assert ended.code == 0, ended.err
    return directory


def test_of_a_schedule_run_with_nothing_due(host: Path) -> None:
    modules = imported("schedule", "run", cwd=host)
    assert "drtool.operations.unattended.scheduling.scheduler" in modules
    assert not modules & _HEAVY


def test_of_a_check_of_the_configuration(host: Path) -> None:
    modules = imported("config", "check", cwd=host)
    assert "drtool.config.source_types.files" in modules
    assert "drtool.config.source_types.mongodb" not in modules
    assert not modules & _HEAVY
    assert not any(name.startswith("drtool.operations.unattended.scheduling") for name in modules)
