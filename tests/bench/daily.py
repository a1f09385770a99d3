"""All runs of one job, as they come to be over the years."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from drtool.repository.chunks import chunk_id, compress
from drtool.repository.ids import new_id
from drtool.repository.index import encode_index, index_name
from drtool.repository.keyring import ChunkKind
from drtool.repository.manifests import Manifest, SourceEntry, Statistics, StreamEntry, encode_streams, object_hash
from drtool.repository.packs import PACK_BYTES, PackBuilder, PackEntry, Row, SlotKind, pack_name
from drtool.repository.pages import PageRef
from drtool.repository.sealed import Kind
from tests.bench.growing import GrowingStream
from tests.bench.shelving import Keys, Shelf

_PERIOD = timedelta(days=1)
_SECONDS = 240
#: Chunks take so much less room in packs.
_COMPRESSION = 5
_PACKS_PER_INDEX = 64
_HEADER_BYTES = 1228
#: The streams of a job, and which part of its chunks each has.
_STREAMS = (("app.events", 0.7), ("app.users", 0.25), ("app.settings", 0.05))


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot that was taken; retention may have removed it since. ``hash`` is its manifest object's (hex)."""

    id: str
    job: str
    number: int
    hash: str
    at: datetime
    is_removed: bool


@dataclass(slots=True)
class Left:
    """What a job's runs left behind: snapshots, chunks (of all kinds, and how many of them pages), and packs."""

    taken: list[Taken]
    chunks: int = 0
    pages: int = 0
    packs: int = 0
    bytes: int = 0


def take_all(root: Path, keys: Keys, job: str, chunks: int, snapshots: int, last: datetime) -> Left:
    """The runs of a job, one a day until `last`: `snapshots` of them are kept, and they stored `chunks` of data.

    The first run stores half of them. Of the oldest quarter of the runs retention has removed four in five.
    """
    runs = next(
        runs for runs in count(snapshots) if sum(not _is_removed(run, runs) for run in range(runs)) == snapshots
    )
    begin = chunks // 2
    made = _Job(Shelf(root, keys), job)
    for run in range(runs):
        stored = _share(chunks - begin, run, runs - 1) if run else begin
        made.take(stored, last - (runs - 1 - run) * _PERIOD, is_removed=_is_removed(run, runs))
    made.index(last)
    return made.left


def _is_removed(run: int, runs: int) -> bool:
    return run < runs // 4 and run % 5 != 0


def _share(total: int, number: int, shares: int) -> int:
    """The `number`-th (from 1) of as many equal shares of a total."""
    return total * number // shares - total * (number - 1) // shares


class _Job:
    def __init__(self, shelf: Shelf, job: str) -> None:
        self.left = Left([])
        self._shelf = shelf
        self._job = job
        dice = random.Random(job)
        self._streams = [(GrowingStream(name, dice), share) for name, share in _STREAMS]
        self._dice = dice
        self._known: set[bytes] = set()
        self._entries: list[PackEntry] = []
        self._previous: Taken | None = None

    def take(self, stored: int, moment: datetime, *, is_removed: bool) -> None:
        """A run that stores so many chunks of data."""
        keyring = self._shelf.keys.agent.keyring
        pages = PackBuilder(SlotKind.CATALOG, keyring, (), bytearray())
        private: list[tuple[bytes, int]] = []

        def put_page(data: bytes) -> bytes:
            id_ = chunk_id(keyring, ChunkKind.CATALOG, data)
            if id_ not in self._known:
                self._known.add(id_)
                pages.add(ChunkKind.CATALOG, id_, compress(data), len(data))
            return id_

        def put_private(data: bytes) -> bytes:
            id_ = chunk_id(keyring, ChunkKind.PRIVATE, data)
            if id_ not in self._known:
                self._known.add(id_)
                private.append((id_, len(data)))
            return id_

        data: list[tuple[bytes, int]] = []
        entries = []
        for number, (stream, share) in enumerate(self._streams):
            wanted = round(stored * share) if number + 1 < len(self._streams) else stored - len(data)
            made = stream.change(wanted) if self._previous else stream.grow(wanted)
            data += [(chunk.id, chunk.length) for chunk in made]
            definition = f"the definition of {stream.name}".encode()
            root = stream.tree(put_page, put_private)
            entries.append(_entry(self._job, stream.name, put_private(definition), len(definition), root))
        lists = [(put_page(chunk), len(chunk)) for chunk in encode_streams(entries)]
        self._store_data(
            [(ChunkKind.DATA, *one) for one in data] + [(ChunkKind.PRIVATE, *one) for one in private], moment
        )
        finished = pages.finish(self._shelf.keys.agent.signing_key)
        self._shelf.put(pack_name(finished.entry.sha256), finished.data, moment)
        self._note(finished.entry, moment)
        self.left.pages += len(finished.entry.rows)
        self._commit(entries, lists, len(data), moment, is_removed=is_removed)

    def index(self, moment: datetime) -> None:
        """Index the packs that are not indexed yet; as prune merges index objects."""
        if self._entries:
            keys = self._shelf.keys
            data = encode_index(self._entries, keys.agent.keyring, keys.identity.verifier_key, keys.agent.repository)
            self._shelf.put(index_name(data), data, moment)
            self._entries = []

    def _store_data(self, chunks: list[tuple[ChunkKind, bytes, int]], moment: datetime) -> None:
        rows: list[Row] = []
        end = _HEADER_BYTES
        for kind, id_, length in chunks:
            stored = length // _COMPRESSION
            if end + stored > PACK_BYTES:
                self._store_pack(rows, end, moment)
                rows, end = [], _HEADER_BYTES
            rows.append(Row(id_, kind, 0, len(rows), end, stored, length))
            end += stored
        if rows:
            self._store_pack(rows, end, moment)

    def _store_pack(self, rows: list[Row], size: int, moment: datetime) -> None:
        entry = PackEntry(
            self._dice.randbytes(32), size, _HEADER_BYTES, self._shelf.keys.agent.signing_key.public, tuple(rows)
        )
        self._shelf.put_hole(pack_name(entry.sha256), size, moment)
        self._note(entry, moment)

    def _note(self, entry: PackEntry, moment: datetime) -> None:
        self.left.packs += 1
        self.left.chunks += len(entry.rows)
        self.left.bytes += entry.size
        self._entries.append(entry)
        if len(self._entries) == _PACKS_PER_INDEX:
            self.index(moment)

    def _commit(
        self,
        entries: list[StreamEntry],
        lists: list[tuple[bytes, int]],
        new_chunks: int,
        moment: datetime,
        *,
        is_removed: bool,
    ) -> None:
        before, time = self._previous, moment.isoformat()
        agent = self._shelf.keys.agent
        point = {"cluster_time": [int(moment.timestamp()), 1], "term": 3, "replay_from": [int(moment.timestamp()), 1]}
        source = SourceEntry(
            self._job,
            "mongodb",
            "7.0.14",
            "replica-set",
            f"set/{self._job}",
            time,
            "exact",
            point,
            (),
            len(self.left.taken),
        )
        held = sum(entry.bytes for entry in entries)
        manifest = Manifest(
            snapshot=new_id(moment),
            repository=agent.repository.hex(),
            job=self._job,
            number=before.number + 1 if before else 1,
            previous=before.hash if before else None,
            previous_snapshot=before.id if before else None,
            created=time,
            run=new_id(moment),
            host="host1",
            tool="drtool",
            consistency="exact",
            proof="identical",
            instant=time,
            sources=(source,),
            stream_count=len(entries),
            stream_chunks=tuple(lists),
            statistics=Statistics(
                sum(entry.records for entry in entries),
                held,
                sum(entry.chunks for entry in entries),
                new_chunks,
                new_chunks * 400_000,
                new_chunks * 400_000 // _COMPRESSION,
                _SECONDS,
                new_chunks * 400_000,
            ),
            base=before.id if before else None,
        )
        data = self._shelf.seal(Kind.MANIFEST, manifest.name, manifest.encode(), agent.signing_key)
        if not is_removed:
            self._shelf.put(manifest.name, data, moment + timedelta(seconds=_SECONDS))
        self._previous = Taken(manifest.snapshot, self._job, manifest.number, object_hash(data), moment, is_removed)
        self.left.taken.append(self._previous)


def _entry(source: str, name: str, definition: bytes, length: int, root: PageRef | None) -> StreamEntry:
    return StreamEntry(
        source=source,
        name=name,
        kind="collection",
        identity=name.encode().hex(),
        proof="identical",
        consistency="exact",
        keyed=True,
        has_records=True,
        threshold=1 << 60,
        definition=definition,
        definition_length=length,
        root=root,
    )
