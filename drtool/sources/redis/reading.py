"""Everything of a server, read once and put in order on this host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from drtool.errors import AuthenticationError
from drtool.sources.cutting import Chunk, CutRule, Record, cut_lists
from drtool.sources.redis.connection import Server, connect, translated
from drtool.sources.redis.naming import excluding
from drtool.sources.redis.rdb.dump import LeftOut
from drtool.sources.redis.records import PART_BYTES, Entry, entries, record, record_key, records_of
from drtool.sources.redis.replication import Download
from drtool.sources.redis.scanning import scan
from drtool.sources.redis.spool import Order, Place, Tally
from drtool.sources.sorting.merging import Sorted

_MODULES = "What modules keep beside the keys is not backed up: {}."
_NO_FUNCTIONS = "Functions are not backed up: the user may not list them (+function|list)."


@dataclass(frozen=True, slots=True)
class Selection:
    """What is backed up: ``databases`` (empty: all), but not keys that a pattern of ``exclude`` fits."""

    databases: tuple[int, ...] = ()
    exclude: tuple[str, ...] = ()

    def left_out(self, database: int) -> LeftOut:
        """Says of a database's keys whether they are not."""
        if self.databases and database not in self.databases:
            return _anything
        return excluding(self.exclude)


@dataclass(slots=True)
class Reading:
    """What was read. ``taken`` is the server's time of the dump, in seconds since 1970 (None where it has none)."""

    order: Order
    functions: Mapping[bytes, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    taken: int | None = None

    def tally(self, database: int) -> Tally:
        """What there is of a database."""
        return self.order.tallies.get(database) or Tally()

    def chunks(self, database: int, rule: CutRule) -> Iterator[Chunk]:
        """The records of a database in order, cut."""
        return cut_lists(self._lists(database), rule)

    def changed(self, database: int, change: Callable[[Entry], Entry]) -> Iterator[Record]:
        """The records of what `change` makes of each key of a database, in order."""
        for entry in entries(each for _, records in self._lists(database) for each in records):
            yield from records_of(change(entry))

    def close(self) -> None:
        """Give up the files. Safe to call twice."""
        self.order.close()

    def _lists(self, database: int) -> Iterator[Sorted]:
        large = self.order.large.get(database, {})
        for keys, records in self.order.read(database):
            if large and b"" in records:
                yield from self._with_large(keys, records, large)
            else:
                yield keys, records

    def _with_large(self, keys: list[bytes], records: list[bytes], large: Mapping[bytes, Place]) -> Iterator[Sorted]:
        start = 0
        for at, key in enumerate(keys):
            if not records[at]:
                if start < at:
                    yield keys[start:at], records[start:at]
                for part_key, part in self._parts(key, large[key]):
                    yield [part_key], [part]
                start = at + 1
        if start < len(keys):
            yield keys[start:], records[start:]

    def _parts(self, key: bytes, place: Place) -> Iterator[tuple[bytes, bytes]]:
        """The same as `records_of`, without the whole value in memory."""
        total = place.length + 1
        for part, start in enumerate(range(0, total, PART_BYTES)):
            value = self.order.part_of(place, max(0, start - 1), min(place.length, start + PART_BYTES - 1))
            if part == 0:
                value = bytes((place.number,)) + value
            yield record_key(key, part), record(key, place.expiry, part, total, value)


def _anything(key: bytes) -> bool:
    del key
    return True


def read_dump(download: Download) -> Reading:
    """Of a dump, when all of it is there."""
    arrival = download.wait()
    dump = arrival.dump
    taken = dump.fields.get(b"ctime")
    warnings = (_MODULES.format(", ".join(sorted(dump.modules))),) if dump.modules else ()
    return Reading(arrival.order, dump.functions, warnings, None if taken is None else int(taken))


def read_keys(uri: str, server: Server, selection: Selection, databases: Sequence[int]) -> Reading:
    """Key by key."""
    order = Order()
    try:
        scan(uri, server, databases, excluding(selection.exclude), order)
        order.end()
        functions = _functions(uri, server)
        return Reading(order, functions or {}, (_NO_FUNCTIONS,) if functions is None else ())
    except BaseException:
        order.close()
        raise


def _functions(uri: str, server: Server) -> Mapping[bytes, bytes] | None:
    """Libraries by name; None where the user may not read them."""
    if server.numbers < (7,):
        return {}
    client = connect(uri)
    try:
        with translated(uri, "reading functions"):
            libraries = client.execute_command("FUNCTION LIST", "WITHCODE")
    except AuthenticationError:
        return None
    finally:
        client.close()
    found = (dict(zip(each[::2], each[1::2], strict=True)) for each in libraries)
    return {library[b"library_name"]: library[b"library_code"] for library in found}
