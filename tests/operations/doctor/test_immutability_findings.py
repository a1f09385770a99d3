"""What doctor says of a bucket, its rules, and the credentials at hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drtool.config.repository import RepositorySettings
from drtool.operations.doctor.findings import Finding, Verdict
from drtool.operations.doctor.immutability import examine_immutability
from drtool.operations.init import init
from drtool.operations.object_lock import rule_of
from drtool.operations.policies import Place, agent_policy, maintenance_policy, policy_for
from tests.servers import s3
from tests.servers.vaults import Vault, open_vault

LOCK = {"mode": "GOVERNANCE", "days": 2}


@pytest.fixture
def vault(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """A bucket with Object Lock."""
    with open_vault(getattr(request, "param", "moto"), tmp_path, monkeypatch) as opened:
        yield opened


def _settings(vault: Vault, directory: Path, **more: Any) -> RepositorySettings:
    fields = {
        "url": vault.url,
        "region": s3.REGION,
        "endpoint_url": vault.endpoint,
        "profile": "owner",
        "identity": {"file": str(directory / "identity.key")},
        "object_lock": LOCK,
        "state_dir": str(directory / "state"),
        "cache_dir": str(directory / "cache"),
    }
    return RepositorySettings.model_validate(fields | more)


@pytest.fixture
def settings(vault: Vault, tmp_path: Path) -> RepositorySettings:
    """Of a repository whose objects are locked."""
    settings = _settings(vault, tmp_path)
    keys = {"agent_key": tmp_path / "agent.key", "identity": tmp_path / "identity.key"}
    init(vault.storage(), **keys, rule=rule_of(settings))
    return settings


def _said(findings: list[Finding], verdict: Verdict) -> str:
    return "\n".join(finding.message for finding in findings if finding.verdict is verdict)


@pytest.mark.parametrize("vault", ["moto", "rgw"], indirect=True)
def test_an_owner_may_do_too_much(settings: RepositorySettings) -> None:
    findings = list(examine_immutability(settings))
    said = _said(findings, Verdict.WARNING)
    rights = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention", "s3:DeleteBucketPolicy")
    assert all(right in said for right in (*rights, "s3:PutLifecycleConfiguration"))
    assert "nothing is locked" not in said


def test_rules_that_eat_the_repository(vault: Vault, settings: RepositorySettings) -> None:
    rules = [
        {"ID": "eats", "Filter": {"Prefix": "prod/"}, "Status": "Enabled", "Expiration": {"Days": 30}},
        {
            "ID": "waits",
            "Filter": {"Prefix": ""},
            "Status": "Enabled",
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
        },
        {"ID": "tidies", "Filter": {"Prefix": "prod/leases/"}, "Status": "Enabled", "Expiration": {"Days": 1}},
        {"ID": "elsewhere", "Filter": {"Prefix": "logs/"}, "Status": "Enabled", "Expiration": {"Days": 1}},
    ]
    vault.client().put_bucket_lifecycle_configuration(Bucket=vault.bucket, LifecycleConfiguration={"Rules": rules})
    findings = list(examine_immutability(settings))
    assert "rule eats deletes objects of the repository, 30 days old" in _said(findings, Verdict.FAILED)
    warned = _said(findings, Verdict.WARNING)
    assert "rule waits deletes what was hidden or replaced of the repository after 7 days" in warned
    assert not any(name in warned + _said(findings, Verdict.FAILED) for name in ("tidies", "elsewhere"))
    # Where there are rules it is not tried to take them away.
    assert "s3:PutLifecycleConfiguration" not in warned
    kept = vault.client().get_bucket_lifecycle_configuration(Bucket=vault.bucket)["Rules"]
    assert {rule["ID"] for rule in kept} == {"eats", "waits", "tidies", "elsewhere"}


def test_another_lock_in_the_configuration(settings: RepositorySettings, vault: Vault, tmp_path: Path) -> None:
    other = _settings(vault, tmp_path, object_lock={"mode": "COMPLIANCE", "days": 30})
    assert "asks for locks of 30 days, COMPLIANCE, the repository says 2 days, GOVERNANCE" in _said(
        list(examine_immutability(other)), Verdict.WARNING
    )


@pytest.mark.parametrize("vault", ["rgw"], indirect=True)  # moto has one user only
def test_the_printed_policies_suffice(vault: Vault, settings: RepositorySettings, tmp_path: Path) -> None:
    who = vault.enrol("agent", "maintenance")
    place, rule = Place.of(vault.url), rule_of(settings)
    assert place is not None
    vault.allow(agent_policy(place, rule, [who["agent"]]), maintenance_policy(place, rule, [who["maintenance"]]))
    agents = _settings(vault, tmp_path, profile="agent", maintenance={"profile": "maintenance"})
    findings = list(examine_immutability(agents))
    assert [(finding.check, finding.verdict) for finding in findings] == [
        ("immutability", Verdict.OK),
        ("maintenance", Verdict.OK),
    ]


def test_a_directory_is_not_immutable(tmp_path: Path) -> None:
    [found] = examine_immutability(RepositorySettings(url=str(tmp_path)))
    assert (found.verdict, "directory" in found.message) == (Verdict.WARNING, True)


def test_policies_name_the_repository_and_no_principal_unless_given() -> None:
    settings = RepositorySettings.model_validate({"url": "s3://acme/prod", "object_lock": LOCK})
    for role in ("agent", "maintenance"):
        policy = policy_for(settings, role)
        assert all("Principal" not in statement for statement in policy["Statement"])
        for statement in policy["Statement"]:
            assert all(one.startswith("arn:aws:s3:::acme") for one in statement["Resource"])
    allowed = {
        action
        for statement in policy_for(settings, "agent", ["arn:aws:iam::1:user/x"])["Statement"]
        for action in statement["Action"]
        if statement["Effect"] == "Allow"
    }
    assert not any("Delete" in action or "Bypass" in action or "Policy" in action for action in allowed)
