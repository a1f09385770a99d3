"""``repository.object_lock``: for whom it means something, and what a directory is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from drtool.config.repository import RepositorySettings
from drtool.errors import ConfigError, DamagedObjectError
from drtool.operations.object_lock import rule_of
from drtool.operations.policies import Place, policy_for
from drtool.repository.locks import LockRule


def test_a_bucket_is_locked_for_days() -> None:
    settings = RepositorySettings.model_validate({"url": "s3://acme/prod", "object_lock": {"days": 30}})
    rule = rule_of(settings)
    assert rule == LockRule("COMPLIANCE", 30)
    assert LockRule.of(rule.to_json()) == rule
    assert rule_of(RepositorySettings.model_validate({"url": "s3://acme/prod"})) is None


@pytest.mark.parametrize("lock", [{"days": 0}, {"days": -1}, {}, {"days": 1, "mode": "HARD"}, {"days": 1, "hours": 2}])
def test_what_is_no_lock_is_refused(lock: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RepositorySettings.model_validate({"url": "s3://acme/prod", "object_lock": lock})


def test_a_directory_cannot_lock(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="a directory cannot lock"):
        RepositorySettings.model_validate({"url": str(tmp_path), "object_lock": {"days": 30}})
    with pytest.raises(ConfigError, match="has no policy"):
        policy_for(RepositorySettings.model_validate({"url": str(tmp_path)}), "agent")


@pytest.mark.parametrize(
    "fields", [{}, {"mode": "COMPLIANCE"}, {"mode": "X", "days": 1}, {"mode": "GOVERNANCE", "days": 0}]
)
def test_a_rule_in_repository_json_that_is_none_is_damage(fields: dict[str, object]) -> None:
    with pytest.raises(DamagedObjectError):
        LockRule.of(fields)


@pytest.mark.parametrize(
    ("url", "expected"),
    [("s3://acme", ["arn:aws:s3:::acme/packs/*"]), ("s3://acme/a/b", ["arn:aws:s3:::acme/a/b/packs/*"])],
)
def test_names_of_objects_in_policies(url: str, expected: list[str]) -> None:
    place = Place.of(url)
    assert place is not None
    assert place.objects("packs/*") == expected
