"""The whole way on a bucket with Object Lock: a host's credentials are stolen, and everything is restored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drtool.errors import PermissionDeniedError
from drtool.storage.base import Storage
from tests.operations.site import Site, fill, hashes
from tests.servers import s3
from tests.servers.vaults import PREFIX, Vault, open_vault
from tests.sources.mongo import Client

pytestmark = pytest.mark.heavy


@pytest.fixture
def vault(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """A bucket with Object Lock."""
    with open_vault(getattr(request, "param", "moto"), tmp_path, monkeypatch) as opened:
        yield opened


def _site(vault: Vault, directory: Path, uri: str, database: str, profiles: tuple[str, str]) -> Site:
    host, maintenance = profiles
    repository = {
        "region": s3.REGION,
        "endpoint_url": vault.endpoint,
        "profile": host,
        "maintenance": {"profile": maintenance},
        "object_lock": {"days": 1},
    }
    directory.mkdir()
    site = Site(directory, uri, {"nightly": (database,)}, url=vault.url, repository=repository).write_config()
    # The owner of the bucket makes the repository; the host has less.
    (directory / "owner.yaml").write_text(site.config.read_text().replace(f"profile: {host}", "profile: owner"))
    made = site.drtool("init", "--config", str(directory / "owner.yaml"), "--identity-out", "identity.key")
    assert made.code == 0, made.err
    return site


def _profiles(vault: Vault) -> tuple[str, str]:
    """A host's and a maintainer's."""
    vault.enrol("agent", "maintenance")
    return "agent", "maintenance"


def _grant(vault: Vault, site: Site) -> None:
    """The policies that doctor prints."""
    who = vault.principals
    policies = [
        json.loads(site.told("doctor", "--policy", role, "--principal", who[role]).out)
        for role in ("agent", "maintenance")
    ]
    vault.allow(*policies)


def _replace_and_hide_everything(storage: Storage) -> set[str]:
    harmed: set[str] = set()
    for info in list(storage.list()):
        for attempt in (lambda name: storage.put(name, b"garbage"), storage.delete):
            try:
                attempt(info.name)
            except PermissionDeniedError:
                continue
            harmed.add(info.name)
    return harmed


@pytest.mark.parametrize("vault", ["rgw"], indirect=True)  # which enforces the policies that doctor prints
def test_stolen_credentials(vault: Vault, tmp_path: Path, uri: str, client: Client, database: str) -> None:
    fill(client, database)
    profiles = _profiles(vault)
    site = _site(vault, tmp_path / "host", uri, database, profiles)
    _grant(vault, site)
    taken = site.backup()
    before = hashes(client, database)
    harmed = _replace_and_hide_everything(vault.storage(profiles[0]))
    assert any(name.startswith("packs/") for name in harmed)

    listed = site.drtool("snapshots")
    assert (listed.code, [line["snapshot"] for line in listed.lines[:-1]]) == (4, [taken["snapshot"]])
    assert f"snapshots/{taken['snapshot']}" in listed.err
    restored = site.drtool("restore", "latest")
    assert restored.code == 0, restored.err
    [made] = [name for name in client.list_database_names() if name.startswith(f"{database}_")]
    assert hashes(client, made) == before
    verified = site.drtool("verify", "latest", "--level", "readable")
    problems = [problem for line in verified.lines for problem in line.get("problems", ())]
    assert verified.code == 4
    assert {problem["kind"] for problem in problems} == {"hidden-object"}
    assert {name for name in harmed if name.startswith("packs/")} <= {problem["object"] for problem in problems}

    back: dict[str, Any] = site.ok("repair", "versions")[-1]
    assert (back["back"] >= 3, back["failed"]) == (True, 0)
    site.ok("repair", "index")
    again = site.drtool("verify", "latest", "--level", "readable")
    assert again.code == 0, again.out
    site.backup()
    assert vault.client().list_objects_v2(Bucket=vault.bucket, Prefix=f"{PREFIX}/packs/")["KeyCount"] > 0


def test_changing_the_rule(vault: Vault, tmp_path: Path, uri: str, database: str) -> None:
    site = _site(vault, tmp_path / "host", uri, database, ("owner", "owner"))
    shown = site.ok("object-lock")[-1]
    assert shown["object_lock"] == shown["configured"] == {"mode": "COMPLIANCE", "days": 1}
    site.config.write_text(site.config.read_text().replace("days: 1", "days: 2"))
    told = site.told("object-lock").out
    assert "locked for 1 day, COMPLIANCE" in told
    assert "drtool object-lock --apply" in told
    changed = site.told("object-lock", "--apply").out
    assert "locked for 2 days" in changed
    assert "drtool doctor --policy agent" in changed
    assert site.ok("object-lock")[-1]["object_lock"]["days"] == 2
    assert site.ok("object-lock", "--apply")[-1]["changed"] is False
    found = site.drtool("doctor")
    assert "the configuration asks for" not in found.out
    failed = [line["message"] for line in found.lines if line.get("verdict") == "failed"]
    # moto lets everybody shorten locks, and doctor notices.
    assert ["lock end earlier" in message for message in failed] == [True]
