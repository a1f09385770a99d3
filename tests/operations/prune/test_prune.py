"""What prune deletes, rewrites and leaves alone."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from drtool.errors import DamagedObjectError, DrtoolError, MissingObjectError, RefusedError, UnsafeStorageError
from drtool.operations.prune.planning import Rules
from drtool.operations.prune.prune import Wishes, preview
from drtool.repository.cache import Location
from drtool.repository.chain import Snapshot, read_catalogue
from drtool.repository.chunks import chunk_id
from drtool.repository.going import RETENTION
from drtool.repository.keyring import ChunkKind
from drtool.repository.pages import walk
from drtool.repository.reader import ChunkReader
from drtool.repository.runs import Run
from drtool.repository.writer import ChunkWriter
from drtool.storage.base import Buffer, ObjectInfo
from drtool.storage.directory import DirectoryStorage
from tests.operations.prune.shelves import chunk, clean, packs, read_all, remove, stream
from tests.repository.builders import Made, backup, flipped, objects, write_stream
from tests.repository.test_segments import put as put_segment
from tests.repository.test_segments import segment


def _two(made: Made) -> tuple[Snapshot, Snapshot]:
    """A snapshot that was removed, and one that shares a third of its chunks."""
    with closing(made.as_agent()) as agent:
        first = backup(agent, [stream(range(60))])
        second = backup(agent, [stream(range(40, 80))])
    remove(made, [first])
    return first, second


def _stored(made: Made) -> int:
    return sum(info.size for info in made.storage.list("packs/"))


def _locations(made: Made, data: bytes) -> list[Location]:
    with closing(made.as_agent("looker")) as agent:
        agent.refresh_index()
        return agent.cache.locations(chunk_id(agent.keyring, ChunkKind.DATA, data))


def test_what_nothing_needs_goes_and_the_rest_stays(made: Made) -> None:
    _two(made)
    before, size = read_all(made), _stored(made)
    done = clean(made)
    assert read_all(made) == before
    assert done.swept.deleted
    assert not done.waiting
    assert not objects(made.storage, "tombstones/")
    assert done.swept.freed_bytes == size - _stored(made) > 0
    again = clean(made)
    assert not again.swept.deleted
    assert not again.plan.packs


def test_a_dry_run_says_the_same_and_writes_nothing(made: Made) -> None:
    _two(made)
    before = objects(made.storage)
    with closing(made.as_owner()) as owner:
        seen = preview(owner, Wishes())
    assert objects(made.storage) == before
    done = clean(made)
    assert seen.plan.packs.keys() == done.swept.deleted.keys()
    # What new packs take besides chunks, slots above all, only shows when they are made.
    assert seen.plan.freed_bytes == pytest.approx(done.swept.freed_bytes, rel=0.2)


def test_packs_with_little_in_use_are_rewritten_for_those_who_made_them(made: Made) -> None:
    with closing(made.as_agent()) as agent:
        first = backup(agent, [stream(range(40))])
        some = stream(range(0, 40, 9))
        backup(agent, [some])
        remove(made, [first])
        before = read_all(made)
        done = clean(made)
        assert done.plan.rewritten
        assert done.swept.made
        assert read_all(made) == before
        for number in range(0, 40, 9):
            (location,) = _locations(made, chunk(number))
            assert location.pack in done.swept.made
            assert location.indexed_by == agent.signer.public
        agent.refresh_index()
        writer = ChunkWriter(agent)
        for data in some.chunks:
            writer.add(ChunkKind.DATA, data)
        writer.close()
        assert writer.counts.new_chunks == 0


def test_how_much_may_be_unused_can_be_chosen(made: Made) -> None:
    _two(made)
    done = clean(made, Wishes(Rules(max_unused=1.0)))
    assert not done.plan.rewritten
    assert done.plan.dead
    before = read_all(made)
    assert clean(made, Wishes(Rules(max_unused=0.0))).plan.rewritten
    assert read_all(made) == before


def test_index_objects_are_merged_and_keep_who_indexed_what(made: Made) -> None:
    other = made.enrol("host2")
    with closing(made.as_agent()) as agent, closing(made.as_agent("host2", other)) as second:
        for number in range(2):
            backup(agent, [stream(range(number * 4, number * 4 + 4))])
            backup(second, [stream(range(number * 4, number * 4 + 4))], job="other")
        before, count = read_all(made), len(objects(made.storage, "index/"))
        done = clean(made)
        assert (done.swept.merged, done.swept.into) == (count, 1)
        assert len(objects(made.storage, "index/")) == 1
        assert read_all(made) == before
        signers = {location.indexed_by for location in _locations(made, chunk(1))}
        assert signers == {agent.signer.public, second.signer.public}


def test_a_damaged_pack_is_not_rewritten_and_told(made: Made) -> None:
    with closing(made.as_agent()) as agent:
        first = backup(agent, [stream(range(40))])
        backup(agent, [stream(range(0, 40, 9))])
    remove(made, [first])
    with closing(made.as_owner()) as owner:
        plan = preview(owner, Wishes()).plan
    (victim, *_) = (pack for pack, chunks in plan.moves.items() if chunks)
    name = f"packs/{victim.hex()[:2]}/{victim.hex()}"
    data = made.storage.get(name)
    made.storage.put(name, flipped(data, len(data) // 2))
    done = clean(made)
    assert [problem.object for problem in done.swept.problems] == [name]
    assert name in packs(made)


@pytest.mark.parametrize("what", ["snapshots/", "index/", "page", "tombstones/", "oplog/"])
def test_whatever_cannot_be_read_stops_everything(made: Made, what: str) -> None:
    _two(made)
    if what == "page":
        _lose_pages(made)
    elif what in ("tombstones/", "oplog/"):
        suffix = (
            "20261121t020000z-0000000000" if what == "tombstones/" else f"{'0' * 32}/{'0' * 32}/{'0' * 16}-{'1' * 16}"
        )
        made.storage.put(what + suffix, b"garbage")
    else:
        name, data = next(iter(objects(made.storage, what).items()))
        made.storage.put(name, flipped(data, len(data) // 2))
    before = packs(made)
    with pytest.raises(DrtoolError) as error:
        clean(made)
    assert isinstance(error.value, DamagedObjectError)
    assert "Nothing was deleted" in error.value.hint
    assert packs(made) == before


def _lose_pages(made: Made) -> None:
    """Delete the pack that holds the pages of the snapshot that is there."""
    with closing(made.as_owner("looker")) as owner:
        owner.refresh_index()
        (snapshot,) = read_catalogue(owner).snapshots
        for location in owner.cache.locations(snapshot.manifest.stream_chunks[0][0]):
            made.storage.delete(f"packs/{location.pack.hex()[:2]}/{location.pack.hex()}")


def test_a_chunk_in_no_index_object_stops_everything(made: Made) -> None:
    _two(made)
    name = max(objects(made.storage, "index/"), key=lambda name: made.storage.head(name).modified)
    made.storage.delete(name)
    before = packs(made)
    with pytest.raises(MissingObjectError, match="no index object"):
        clean(made)
    assert packs(made) == before


def test_a_snapshot_that_is_gone_unannounced_makes_it_refuse(made: Made) -> None:
    with closing(made.as_agent()) as agent:
        first = backup(agent, [stream(range(30))])
        backup(agent, [stream(range(30, 60))])
    made.storage.delete(first.manifest.name)
    before = packs(made)
    with pytest.raises(RefusedError, match="announced"):
        clean(made)
    assert packs(made) == before
    assert clean(made, Wishes(accepts_losses=True)).swept.deleted


class Forgetful(DirectoryStorage):
    """Replaces objects whatever they are by now."""

    def put(self, name: str, data: Buffer, *, if_match: str | None = None, **conditions: Any) -> ObjectInfo:
        """Ignores the condition."""
        return super().put(name, data, **conditions)


def test_a_store_without_conditional_puts_is_refused(made: Made) -> None:
    _two(made)
    made.storage = Forgetful(made.storage.url)
    before = objects(made.storage)
    with pytest.raises(UnsafeStorageError, match="compare-and-swap"):
        clean(made)
    assert objects(made.storage) == before


def test_packs_that_a_killed_run_left_go_when_they_are_old(made: Made) -> None:
    _two(made)
    with (
        closing(made.as_agent("killed")) as agent,
        mock.patch("drtool.repository.storing.PackStore.flush"),
    ):
        writer = ChunkWriter(agent)
        writer.add(ChunkKind.DATA, chunk(1000))
        writer.flush()
        writer.close()
    (orphan,) = writer.packs
    name = f"packs/{orphan.hex()[:2]}/{orphan.hex()}"
    assert not clean(made).plan.unindexed
    _make_older(made, name, hours=25)
    done = clean(made)
    assert list(done.plan.unindexed) == [orphan]
    assert name not in packs(made)


def test_an_old_pack_in_no_index_object_stays_while_its_chunks_are_in_use(made: Made) -> None:
    with closing(made.as_agent()) as agent:
        backup(agent, [stream(range(8))])
    other = made.enrol("host2")
    (name,) = objects(made.storage, "index/")
    known = packs(made)
    with closing(made.as_agent("host2", other)) as second:
        backup(second, [stream(range(8))], job="other")
    made.storage.delete(name)
    for pack in known:
        _make_older(made, pack, hours=30)
    done = clean(made)
    assert {f"packs/{pack.hex()[:2]}/{pack.hex()}" for pack in done.plan.unclear} == known
    assert known <= packs(made)


def _make_older(made: Made, name: str, *, hours: float) -> None:
    path = Path(made.storage.url, name)
    then = path.stat().st_mtime - hours * 3600
    os.utime(path, (then, then))


def test_what_an_archived_log_needs_stays(made: Made) -> None:
    with closing(made.as_agent()) as agent:
        first = backup(agent, [stream(range(30))])
        writer = ChunkWriter(agent)
        entry = write_stream(writer, stream(range(10, 14)))
        writer.flush()
        writer.close()
        assert entry.root is not None
        put_segment(agent, segment(agent, 5, 7, root=entry.root))
        backup(agent, [stream([40])])
    remove(made, [first])
    done = clean(made)
    assert done.swept.deleted
    assert done.swept.made
    with closing(made.as_owner("fresh")) as owner:
        owner.refresh_index()
        reader = ChunkReader(owner)
        refs = [ref for leaf in walk(entry.root, reader.get_page) for ref in leaf.chunks]
        assert list(reader.stream(refs)) == [chunk(number) for number in range(10, 14)]
        reader.close()


def test_what_retention_has_announced_and_not_removed_yet_stays(made: Made) -> None:
    with closing(made.as_agent()) as agent:
        first = backup(agent, [stream(range(20))])
        backup(agent, [stream([0, 30])])
    manifest = made.storage.get(first.manifest.name)
    remove(made, [first])
    made.storage.put(first.manifest.name, manifest)
    before = packs(made)
    with closing(made.as_owner("retention")) as owner, Run(owner, RETENTION):
        assert not clean(made).swept.deleted
    assert packs(made) == before


def test_packs_that_are_all_in_use_are_never_rewritten(made: Made) -> None:
    with closing(made.as_agent()) as agent:
        backup(agent, [stream([0])])
        backup(agent, [stream([0, 1])])
    assert not clean(made, Wishes(Rules(max_unused=0.0))).plan.packs
