"""Prune between backups of a MongoDB: increments go on from what was moved, and everything restores."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence

from drtool.repository.chain import read_catalogue
from drtool.repository.runs import Run
from tests.operations.site import Site, fill, hashes
from tests.repository.builders import put_removal
from tests.sources.mongo import Client


def _remove(site: Site, ids: Sequence[str]) -> None:
    with site.opened(reads_data=True) as repository:
        gone = [snapshot for snapshot in read_catalogue(repository).snapshots if snapshot.id in ids]
        assert repository.maintainer is not None
        put_removal(repository, gone, repository.maintainer)


def _grow_old(site: Site) -> None:
    """Whoever begins now began after these packs were stored."""
    then = time.time() - 72 * 3600
    for path in site.objects("packs"):
        os.utime(path, (then, then))


def test_an_increment_beside_and_after_a_prune_reads_only_what_changed(
    site: Site, client: Client, database: str
) -> None:
    fill(client, database, megabytes=2, collections=8)
    with contextlib.chdir(site.directory):
        first = site.backup()
        for number in range(0, 8, 2):  # of the packs that hold several of them parts are in use by nothing then
            client[database][f"c{number}"].update_many({}, {"$set": {"n": -1}})
        site.backup()
        _remove(site, [first["snapshot"]])
        _grow_old(site)
        with site.opened(reads_data=True) as repository, Run(repository, "verify"):
            begun = site.ok("prune", "--max-unused", "1%")[-1]
            assert begun["waiting_for"]
            assert begun["made"]["packs"]
            client[database]["c0"].update_one({"_id": 4}, {"$set": {"n": -2}})
            assert site.backup()["incremental"]
        done = site.ok("prune", "--max-unused", "1%")[-1]
        assert done["deleted"]["packs"]
        client[database]["c0"].update_one({"_id": 10}, {"$set": {"n": -3}})
        last = site.backup()
        assert last["incremental"]
        assert all(line["ok"] for line in site.ok("verify", "--level", "readable")[:-1])
        site.ok("restore", last["snapshot"], "--rename", f"{database}={database}_back")
    assert hashes(client, f"{database}_back") == hashes(client, database)
