"""A copy in a bucket with Object Lock: what a snapshot rests on stays locked for as long as what comes with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

import pytest

from drtool.config.copies import CopySettings
from drtool.config.loading import load_config
from drtool.config.repository import RepositorySettings
from drtool.config.store import ObjectLockSettings
from drtool.operations.budget import Budget
from drtool.operations.contents import Contents
from drtool.operations.copy.copying import Wish, copy
from drtool.operations.copy.opening import opened_pair
from drtool.operations.copy.siblings import create_copy
from drtool.operations.opening import storage_of
from drtool.operations.reporting import Silent
from drtool.repository.authority import Authority
from drtool.repository.chain import read_catalogue
from drtool.repository.packs import pack_name
from drtool.repository.reader import ChunkReader
from tests.operations.copy.places import Place
from tests.servers.s3 import REGION
from tests.servers.vaults import open_vault


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CopySettings]:
    """A place that locks what is put there for a day."""
    with open_vault("moto", tmp_path, monkeypatch) as opened:
        yield CopySettings(
            url=opened.url,
            region=REGION,
            endpoint_url=opened.endpoint,
            profile="owner",
            object_lock=ObjectLockSettings(days=1),
        )


def _send(settings: RepositorySettings, to: CopySettings, *names: str) -> dict[str, datetime | None]:
    """Copy; until when each pack there is locked then."""
    with opened_pair(settings, to) as pair:
        copy(pair, Wish(names, log=False), Budget.within(128_000_000, None), Silent(), lambda _one: None)
        storage = pair.destination.storage
        return {info.name: storage.locked_until(info.name) for info in storage.list("packs/")}


def test_packs_that_were_there_are_locked_anew(place: Place, vault: CopySettings) -> None:
    settings = load_config(place.site.config).repository
    first, second = place.site.snapshots()
    create_copy(settings, vault)
    before = _send(settings, vault, first)
    with opened_pair(settings.model_copy(update={"agent_key": None}), vault) as pair:
        Authority(pair.destination).publish(object_lock={"mode": "COMPLIANCE", "days": 3})
    after = _send(settings, vault, second)
    for name, until in before.items():
        longer = after[name]
        assert until is not None
        assert longer is not None
        assert longer - until > timedelta(days=1.5)


@pytest.mark.heavy
def test_nothing_new_rests_on_what_somebody_replaced(place: Place, vault: CopySettings) -> None:
    settings = load_config(place.site.config).repository
    first, second = place.site.snapshots()
    create_copy(settings, vault)
    _send(settings, vault, first)
    with storage_of(vault) as storage:
        spoilt = [info.name for info in storage.list("packs/")]
        for name in spoilt:
            storage.put(name, b"nothing of the kind")
    _send(settings, vault, second)
    with opened_pair(settings, vault) as pair, contextlib.closing(ChunkReader(pair.source)) as reader:
        pair.destination.refresh_index()
        snapshot = read_catalogue(pair.source).named(second)
        contents = Contents(reader, snapshot.manifest)
        for ref in chain.from_iterable(map(contents.refs, contents.streams())):
            packs = {pack_name(place.pack) for place in pair.destination.cache.locations(ref.id)}
            assert packs - {*spoilt}
