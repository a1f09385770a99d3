"""What the program puts on record as lost, the reader that knows the page alone takes for it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from drtool.operations.repair.acknowledging import acknowledge
from drtool.repository import sealed
from drtool.repository.manifests import object_hash
from drtool.repository.repository import Repository
from tests.format.chains import chain_problems
from tests.format.keys import Trust
from tests.format.objects import MANIFEST, REMOVAL, Kind, Sealed
from tests.repository.builders import commit, make, objects


def _problems(repository: Repository) -> list[str]:
    found: dict[Kind, list[Sealed]] = {}
    for kind, ours, prefix in (
        (MANIFEST, sealed.Kind.MANIFEST, "snapshots/"),
        (REMOVAL, sealed.Kind.REMOVAL, "removals/"),
    ):
        found[kind] = []
        for name, data in objects(repository.storage, prefix).items():
            opened = repository.open_object(ours, name, data)
            found[kind].append(Sealed(kind, name, opened.signer, object_hash(data), opened.payload))
    trust = cast(Trust, SimpleNamespace(repository=repository.document.repository, revocations={}))
    return chain_problems(trust, found[MANIFEST], found[REMOVAL])


def test_a_lost_snapshot_on_record(tmp_path: Path) -> None:
    with contextlib.closing(make(tmp_path).as_both()) as both:
        made = [commit(both) for _ in range(6)]
        for snapshot in (made[0], made[2], made[3]):
            both.storage.delete(snapshot.manifest.name)
        assert _problems(both) != []
        acknowledge(both)
        assert _problems(both) == []
        commit(both, number=1, previous=None)  # another one in the place of the first, whose hash the second tells
        assert _problems(both) != []
