"""A Redis server at one instant, or read key by key where it grants none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from drtool.sources.cutting import Chunk, CutRule, Record, cut
from drtool.sources.plain import PlainView
from drtool.sources.reading import Consistency, KeyRange, Proof, Settled, StreamInfo
from drtool.sources.redis.definitions import Definition
from drtool.sources.redis.naming import FUNCTIONS, stream_of
from drtool.sources.redis.rdb.dump import NEVER
from drtool.sources.redis.rdb.types import FUNCTIONS_VERSION, OLDEST_VERSION, kind_of, version_of
from drtool.sources.redis.reading import Reading, Selection, read_dump
from drtool.sources.redis.records import HEAD, Entry, records_of
from drtool.sources.redis.replication import Download

#: A dump that began so much earlier than it was asked for is one that another replica waited for.
_SHARED = timedelta(seconds=2)


class RedisView(PlainView):
    """See ``drtool.sources.reading.View``. All is read when it is first asked what there is.

    `download` is the dump that is on its way, `read_keys` what reads key by key where there is none. `names` gives
    streams other names by database (of a restored copy: no others are shown then), `change` what a key is to be told
    as. `clock` is how far the server's clock is ahead of this host's.
    """

    def __init__(
        self,
        selection: Selection,
        *,
        download: Download | None = None,
        read_keys: Callable[[], Reading] | None = None,
        clock: timedelta = timedelta(),
        warnings: Sequence[str] = (),
        names: Mapping[int, str] | None = None,
        functions: str | None = FUNCTIONS,
        change: Callable[[Entry], Entry] | None = None,
    ) -> None:
        self._selection, self._download, self._read_keys = selection, download, read_keys
        self._clock, self._warnings = clock, tuple(warnings)
        self._names, self._functions, self._change = names, functions, change
        self._instant = datetime.now(UTC) if download is None else download.position.instant
        self._lock = threading.Lock()
        self._reading: Reading | None = None

    @property
    def instant(self) -> datetime:
        """See ``View.instant``: by this host's clock."""
        return self._instant

    @property
    def point(self) -> Mapping[str, Any]:
        """See ``View.point``: the server's place in its log of changes."""
        if self._download is None:
            return {}
        position = self._download.position
        return {"replication_id": position.replication_id, "offset": position.offset}

    def streams(self) -> Sequence[StreamInfo]:
        """See ``View.streams``: a database that holds nothing is there only where it was asked for by its number."""
        reading = self._read()
        if self._names is None:
            numbers = {*reading.order.tallies, *self._selection.databases} or {0}
            names = {number: stream_of(number) for number in numbers}
        else:
            names = dict(self._names)
        found = [self._info(reading, number, name) for number, name in names.items()]
        if reading.functions and self._functions is not None:
            found.append(_functions_info(self._functions, reading.functions))
        return sorted(found, key=lambda stream: stream.name)

    def chunks(self, stream: StreamInfo, part: KeyRange, rule: CutRule) -> Iterator[Chunk]:
        """See ``View.chunks``: streams are read whole."""
        assert part.lower is None
        assert part.upper is None
        reading = self._read()
        if stream.kind == FUNCTIONS:
            return cut(_functions(reading), rule)
        database = int(stream.identity)
        if self._change is not None:
            return cut(reading.changed(database, self._change), rule)
        return reading.chunks(database, rule)

    def settle(self) -> Settled:
        """See ``View.settle``."""
        warnings = (*self._warnings, *self._read().warnings)
        return Settled(Consistency.FUZZY if self._download is None else Consistency.EXACT, warnings=warnings)

    def cancel(self) -> None:
        """See ``View.cancel``."""
        if self._download is not None:
            self._download.cancel()

    def close(self) -> None:
        """See ``View.close``."""
        if self._download is not None:
            self._download.close()
        if self._reading is not None:
            self._reading.close()

    def _read(self) -> Reading:
        with self._lock:
            if self._reading is None:
                if self._download is not None:
                    self._reading = read_dump(self._download)
                else:
                    assert self._read_keys is not None
                    self._reading = self._read_keys()
                if self._reading.taken is not None:
                    taken = datetime.fromtimestamp(self._reading.taken, UTC) - self._clock
                    if taken < self._instant - _SHARED:
                        self._instant = taken
            return self._reading

    def _info(self, reading: Reading, database: int, name: str) -> StreamInfo:
        tally = reading.tally(database)
        definition = Definition(
            max(map(version_of, tally.types), default=OLDEST_VERSION),
            self._selection.exclude,
            tally.expiring,
            tuple(sorted(set(map(kind_of, tally.types)))),
        )
        return StreamInfo(
            name=name,
            kind="database",
            proof=Proof.CANONICAL,
            definition=definition.encode(),
            identity=str(database),
            estimated_records=tally.keys,
            estimated_bytes=tally.bytes + tally.keys * HEAD.size,
        )


def _functions(reading: Reading) -> Iterator[Record]:
    for name, code in sorted(reading.functions.items()):
        yield from records_of(Entry(name, NEVER, code))


def _functions_info(name: str, functions: Mapping[bytes, bytes]) -> StreamInfo:
    return StreamInfo(
        name=name,
        kind=FUNCTIONS,
        proof=Proof.IDENTICAL,
        definition=Definition(FUNCTIONS_VERSION, types=("function",)).encode(),
        estimated_records=len(functions),
        estimated_bytes=sum(HEAD.size + len(each) + len(code) for each, code in functions.items()),
        ancillary=True,
    )
