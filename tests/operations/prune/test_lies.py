"""What somebody with a writer's key claims must not make prune delete what others need."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace

from drtool.operations.prune.planning import Rules
from drtool.operations.prune.prune import Wishes
from drtool.repository.chunks import chunk_id, compress
from drtool.repository.index import decode_index, encode_index, index_name
from drtool.repository.keyring import ChunkKind
from drtool.repository.packs import PackBuilder, PackEntry, SlotKind, pack_name
from drtool.repository.repository import Repository
from tests.operations.prune.shelves import chunk, clean, packs, read_all, remove, stream
from tests.repository.builders import Made, backup, objects

_FILLING = 10


def _put_index(repository: Repository, entries: Iterable[PackEntry]) -> None:
    data = encode_index(list(entries), repository.keyring, repository.signer, repository.document.repository)
    repository.storage.put(index_name(data), data)


def _put_false(repository: Repository, numbers: Iterable[int]) -> None:
    """A pack, indexed, in which other bytes pass for these chunks, and that holds more which nothing needs."""
    recipients = [entry.recipient for entry in repository.document.recipients]
    builder = PackBuilder(SlotKind.DATA, repository.keyring, recipients, bytearray())
    for number in numbers:
        id_ = chunk_id(repository.keyring, ChunkKind.DATA, chunk(number))
        builder.add(ChunkKind.DATA, id_, compress(chunk(2000 + number)), len(chunk(number)))
    for number in range(_FILLING):
        builder.add(ChunkKind.DATA, bytes([number]) * 32, compress(chunk(1000 + number)), len(chunk(number)))
    pack = builder.finish(repository.signer)
    repository.storage.put(pack_name(pack.entry.sha256), bytes(pack.data))
    _put_index(repository, [pack.entry])


def test_a_false_copy_does_not_take_the_place_of_the_right_one(made: Made) -> None:
    """As where one host copies for others: all is indexed by one key, and came from several."""
    with closing(made.as_agent()) as agent:
        first = backup(agent, [stream(range(20))])
        backup(agent, [stream([0, 10])])
        _put_false(agent, [0, 10])
    before = read_all(made)
    assert clean(made).plan.rewritten  # the false one
    remove(made, [first])
    del before[first.id]
    assert clean(made).plan.rewritten  # the right ones
    assert read_all(made) == before


def test_of_two_chunks_of_one_name_both_are_moved(made: Made) -> None:
    with closing(made.as_agent()) as agent:
        first = backup(agent, [stream(range(20))])
        second = backup(agent, [stream([0, 5, 10])])
        third = backup(agent, [stream([0, 10])])
        _put_false(agent, [0, 10])
    remove(made, [first])
    assert clean(made).swept.made
    made.storage.delete(second.manifest.name)
    assert clean(made, Wishes(Rules(max_unused=0.0), accepts_losses=True)).swept.made
    assert read_all(made)[third.id] == [chunk(0), chunk(10)]


def test_a_pack_counts_by_its_own_directory_too(made: Made) -> None:
    """Somebody hid an index object, and says that what it named lies elsewhere."""
    thief = made.enrol("thief")
    with closing(made.as_agent()) as agent:
        backup(agent, [stream(range(8))])
    (name,) = objects(made.storage, "index/")
    with closing(made.as_agent("thief", thief)) as other:
        entries = decode_index(made.storage.get(name), name, other.keyring, other.document)
        lies = []
        for entry in (replace(entry, indexed_by=other.signer.public) for entry in entries):
            if any(row.kind is ChunkKind.DATA for row in entry.rows):
                lies += [replace(entry, rows=()), replace(entry, sha256=bytes(32))]
            else:
                lies.append(entry)
        _put_index(other, lies)
    made.storage.delete(name)
    before = packs(made)
    clean(made)
    assert packs(made) >= before
