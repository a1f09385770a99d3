"""What doctor says of keys."""

from __future__ import annotations

import contextlib
from pathlib import Path

import yaml

from drtool.config.loading import load_config
from drtool.operations.doctor.examining import examine
from drtool.operations.doctor.findings import Finding, Verdict
from drtool.operations.keys.escrowing import put_escrow
from drtool.operations.keys.revoking import revoke
from drtool.operations.keys.standing import Standing, standing
from drtool.operations.reporting import Silent
from drtool.repository.escrow import Cost
from tests.operations.keys.places import add, rooted, second
from tests.repository.builders import Made


def _standing(made: Made) -> Standing:
    with contextlib.closing(made.as_agent()) as agent:
        return standing(agent)


def test_how_many_ways_there_are_to_read(made: Made) -> None:
    assert str(_standing(made)).startswith("one identity reads the backups, none lies in escrow: without it")
    add(made, second(made))
    with rooted(made) as (repository, authority):
        put_escrow(repository, authority, "correct horse battery staple one two", Cost(65_536, 1, 1))
    assert _standing(made) == Standing(revoked=False, recipients=2, escrows=1)
    assert str(_standing(made)) == "2 identities read the backups, one lies in escrow"


def test_doctor_names_a_revoked_agent_key(made: Made, tmp_path: Path) -> None:
    (tmp_path / "agent.key").write_text(made.agent.to_text())
    settings = {"url": made.storage.url, "agent_key": {"file": "agent.key"}, "state_dir": "s", "cache_dir": "c"}
    sources = {"app": {"type": "mongodb", "uri": "mongodb://db/"}}
    content = {"repository": settings, "sources": sources, "jobs": {"nightly": {"sources": ["app"]}}}
    (tmp_path / "drtool.yaml").write_text(yaml.safe_dump(content))
    with rooted(made) as (repository, authority):
        revoke(repository, authority, "host1", Silent())
    findings = examine(load_config(tmp_path / "drtool.yaml"))
    found = next(finding for finding in findings if finding.message == "this host's agent key was revoked")
    assert (found.check, found.verdict) == ("agent key", "failed")


def test_doctor_asks_for_the_escrow_where_all_hangs_on_one_identity(made: Made, tmp_path: Path) -> None:
    (tmp_path / "agent.key").write_text(made.agent.to_text())
    settings = {"url": made.storage.url, "agent_key": {"file": "agent.key"}, "state_dir": "s", "cache_dir": "c"}
    sources = {"code": {"type": "files", "paths": [str(tmp_path)]}}
    content = {"repository": settings, "sources": sources, "jobs": {"nightly": {"sources": ["code"]}}}
    (tmp_path / "drtool.yaml").write_text(yaml.safe_dump(content))

    def recovery() -> Finding:
        return next(one for one in examine(load_config(tmp_path / "drtool.yaml")) if one.check == "recovery")

    assert recovery().verdict is Verdict.WARNING
    assert "drtool key escrow" in recovery().hint
    with rooted(made) as (repository, authority):
        put_escrow(repository, authority, "correct horse battery staple one two", Cost(65_536, 1, 1))
    assert recovery().verdict is Verdict.OK
