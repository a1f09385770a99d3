"""Backups and restores by several hosts and people, across a rotation and a revocation."""

from __future__ import annotations

import contextlib
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from drtool.config.loading import load_config
from drtool.errors import WrongKeyError
from drtool.operations.budget import Budget
from drtool.operations.opening import open_source, repository_of
from drtool.operations.pitr import following
from drtool.operations.reporting import Silent
from tests.operations.pitr.site import next_second
from tests.operations.site import Site, fill, hashes
from tests.sources.mongo import Client


def _person(site: Site, name: str, key: Path) -> Site:
    """A host with nothing but this identity."""
    (site.directory / name).mkdir()
    shutil.copy(key, site.directory / name / "identity.key")
    keys = site.directory / name
    url = str(site.store)
    return replace(site, directory=keys, keys=keys, url=url, has_agent=False).write_config()


def _host(site: Site, name: str, key: Path) -> Site:
    """A host with an agent key of its own."""
    (site.directory / name).mkdir()
    shutil.copy(key, site.directory / name / "agent.key")
    keys = site.directory / name
    return replace(site, directory=keys, keys=keys, url=str(site.store), has_identity=False).write_config()


@pytest.mark.heavy
def test_two_hosts_and_two_people(site: Site, client: Client, database: str) -> None:
    fill(client, database)
    site.backup()
    owner = _person(site, "owner", site.directory / "identity.key")
    [*_, made] = site.ok("key", "generate", "--out", "ada.key", "--recipient-out", "ada.recipient")
    site.ok("key", "add", "--recipient", "ada.recipient", "--name", "Ada")
    owner.ok("key", "add", "--agent", "host2", "--out", str(site.directory / "host2.key"))
    owner.ok("key", "rotate")
    client[database].c0.insert_one({"_id": "later"})
    # The first host still has the file that it had; it goes on with an increment.
    assert site.backup()["incremental"] is True
    second = _host(site, "host2", site.directory / "host2.key")
    assert second.backup()["incremental"] is False
    assert len(site.snapshots()) == 3

    ada = _person(site, "ada", site.directory / "ada.key")
    renamed = f"{database}_ada"
    told = ada.drtool("restore", second.snapshots()[-1], "--rename", f"{database}=" + renamed)
    assert told.code == 0, told.out + told.err
    assert "gave this key no role" in told.err
    assert hashes(client, renamed) == hashes(client, database)
    assert ada.drtool("verify", "latest", "--level", "listed").code == 12
    assert made["fingerprint"] in {line.get("fingerprint") for line in ada.ok("key", "list")}

    owner.ok("key", "revoke", "host2")
    refused = second.drtool("backup")
    assert (refused.code, "was revoked" in refused.result["error"]["message"]) == (12, True)
    assert len(site.snapshots()) == 3
    owner.ok("key", "rotate", "--remove-recipient", "Ada")
    assert ada.drtool("snapshots").code == 12
    site.backup()
    assert site.drtool("verify", "latest", "--level", "readable").code == 0


def test_a_service_that_goes_on_takes_in_what_became_of_the_keys(
    site: Site, client: Client, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(client, database)
    site.backup()
    monkeypatch.setattr(following, "RUN_SECONDS", 0.0)
    config = load_config(site.config)
    owner = _person(site, "owner", site.directory / "identity.key")
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(contextlib.closing(open_source("nightly", config.sources["nightly"])))
        log = source.log()
        assert log is not None
        opened = stack.enter_context(repository_of(config.repository))
        service = following.Following(
            opened, "nightly", log, Budget.within(config.limits.memory, 1), Silent(), lambda _: None
        )

        def archive() -> set[bytes]:
            """One run of the service; the ids of the catalog keys that seal what it put."""
            before = set(site.objects("oplog"))
            client[database].c0.insert_one({})
            next_second(client)
            list(service._passes(following.Pace(0.0), threading.Event()))
            return {path.read_bytes()[9:17] for path in set(site.objects("oplog")) - before}

        [before] = archive()
        rotated = owner.ok("key", "rotate")[-1]["catalog_key"]
        assert archive() == {bytes.fromhex(rotated)} != {before}
        [agent] = [line["name"] for line in owner.ok("key", "list") if line.get("roles") == ["writer"]]
        owner.ok("key", "revoke", agent)
        with pytest.raises(WrongKeyError, match="was revoked"):
            archive()
