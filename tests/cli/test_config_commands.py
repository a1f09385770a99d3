"""``config check`` and ``config schema``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.operations.site import drtool

GOOD = """\
repository: {url: backups, agent_key: {file: agent.key}}
sources:
  app: {type: mongodb, uri: "${MONGODB_URI}"}
  spare: {type: mongodb, uri: {file: uri}}
jobs:
  nightly: {sources: [app]}
"""
URI = {"MONGODB_URI": "mongodb://u:hunter2@127.0.0.1"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A good configuration."""
    path = tmp_path / "drtool.yaml"
    path.write_text(GOOD)
    return path


def test_check(file: Path) -> None:
    ended = drtool("config", "check", cwd=file.parent, env=URI)
    assert ended.code == 0
    assert ended.out.splitlines() == [f"✓ {file} is valid", "JOB      SOURCES", "nightly  app (mongodb)"]
    assert ended.err == "warning: in no job, so never backed up: spare\n"


def test_check_as_json(file: Path) -> None:
    result = drtool("config", "check", "--config", str(file), "--json", cwd=Path("/"), env=URI).result
    assert (result["path"], result["sources"], result["jobs"]) == (str(file), ["app", "spare"], ["nightly"])


def test_check_finds_what_is_wrong(file: Path) -> None:
    file.write_text(GOOD.replace("nightly: {", 'nightly: {colour: "x", '))
    ended = drtool("config", "check", cwd=file.parent, env=URI)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: drtool.yaml:6: jobs.nightly.colour: unknown key; known here: ")
    known = ended.err.rstrip("\n").partition("known here: ")[2].split(", ")
    assert known == sorted(known)
    assert {"check", "hooks", "ping", "schedule", "sources"} <= set(known)
    unset = drtool("config", "check", "--json", cwd=file.parent)
    assert (
        "drtool.yaml:3: sources.app.uri: environment variable MONGODB_URI is not set"
        in unset.result["error"]["message"]
    )
    assert "hunter2" not in ended.out + ended.err + unset.out + unset.err


def test_schema(tmp_path: Path) -> None:
    schema = json.loads(drtool("config", "schema", cwd=tmp_path).out)
    parts = {"repository", "sources", "jobs", "relations", "schedules", "notify", "metrics", "log", "limits"}
    assert set(schema["properties"]) == parts
    assert drtool("config", "schema", "--json", cwd=tmp_path).result["schema"] == schema
