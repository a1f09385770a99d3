"""Everything of a server, read once and put in order on this host."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from typing import IO

from drtool.errors import AuthenticationError
from drtool.sources.cutting import Chunk, CutRule, Pieces, Record, cut_pieces
from drtool.sources.redis.connection import Server, connect, translated
from drtool.sources.redis.naming import excluding
from drtool.sources.redis.rdb.dump import Dump, LeftOut
from drtool.sources.redis.records import HEAD, PART_BYTES, Entry, record, record_key, records_of
from drtool.sources.redis.replication import Download
from drtool.sources.redis.scanning import scan
from drtool.sources.redis.spool import Order, Tally

_TYPES = [bytes((number,)) for number in range(256)]
_MODULES = "What modules keep beside the keys is not backed up: {}."
_NO_FUNCTIONS = "Functions are not backed up: the user may not list them (+function|list)."
#: What a record's first field counts beside the key and the value: the rest of the head, and the type.
_HEAD_REST = HEAD.size - 4 + 1


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
    """What was read: ``order`` says where in ``data`` the values lie. ``taken`` is the server's time of the dump, in
    seconds since 1970 (None where it has none)."""

    order: Order
    file: IO[bytes]
    data: mmap | bytes
    functions: Mapping[bytes, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    taken: int | None = None

    def tally(self, database: int) -> Tally:
        """What there is of a database."""
        return self.order.tallies.get(database) or Tally()

    def chunks(self, database: int, rule: CutRule) -> Iterator[Chunk]:
        """The records of a database in order, cut."""
        return cut_pieces(self._pieces(database), rule)

    def changed(self, database: int, change: Callable[[Entry], Entry]) -> Iterator[Record]:
        """The records of what `change` makes of each key of a database, in order."""
        for key, expiry, number, offset, length in self.order.read(database):
            yield from records_of(change(Entry(key, expiry, _TYPES[number] + self.data[offset : offset + length])))

    def close(self) -> None:
        """Give up the files. Safe to call twice."""
        if isinstance(self.data, mmap):
            self.data.close()
        self.file.close()
        self.order.close()

    def _pieces(self, database: int) -> Iterator[Pieces]:
        data, pack, types = self.data, HEAD.pack, _TYPES
        for key, expiry, number, offset, length in self.order.read(database):
            if length < PART_BYTES:
                name = len(key)
                rest = _HEAD_REST + name + length
                head = pack(rest, name, expiry, 0, length + 1)
                yield key, rest + 4, (head, key, types[number], data[offset : offset + length])
            else:
                for part_key, part in self._parts(key, expiry, number, offset, length):
                    yield part_key, len(part), (part,)

    def _parts(self, key: bytes, expiry: int, number: int, offset: int, length: int) -> Iterator[Record]:
        """The same as `records_of`, without the whole value in memory."""
        for part in range(-(-(length + 1) // PART_BYTES)):
            start, end = max(0, part * PART_BYTES - 1), min(length, (part + 1) * PART_BYTES - 1)
            value = (b"" if part else _TYPES[number]) + self.data[offset + start : offset + end]
            yield record_key(key, part), record(key, expiry, part, length + 1, value)


def _anything(key: bytes) -> bool:
    del key
    return True


def read_dump(download: Download, selection: Selection) -> Reading:
    """Of a dump."""
    file = download.wait()
    dump = Dump(mmap(file.fileno(), 0, access=ACCESS_READ))
    order = Order()
    try:
        for database, found in dump.keys(selection.left_out):
            order.add(database, found)
        order.end()
    except BaseException:
        order.close()
        dump.data.close()
        raise
    taken = dump.fields.get(b"ctime")
    warnings = (_MODULES.format(", ".join(sorted(dump.modules))),) if dump.modules else ()
    return Reading(order, file, dump.data, dump.functions, warnings, None if taken is None else int(taken))


def read_keys(uri: str, server: Server, selection: Selection, databases: Sequence[int]) -> Reading:
    """Key by key."""
    file, order = tempfile.TemporaryFile(), Order()  # noqa: SIM115 - `close` does
    try:
        scan(uri, server, databases, excluding(selection.exclude), order, file)
        order.end()
        file.flush()
        data = mmap(file.fileno(), 0, access=ACCESS_READ) if file.tell() else b""
        functions = _functions(uri, server)
        return Reading(order, file, data, functions or {}, (_NO_FUNCTIONS,) if functions is None else ())
    except BaseException:
        order.close()
        file.close()
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
