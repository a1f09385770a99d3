"""Everything of a server, read once and put in order on this host."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from typing import IO

from drtool.errors import AuthenticationError
from drtool.sources.cutting import Record
from drtool.sources.redis.connection import Server, connect, translated
from drtool.sources.redis.naming import excluding
from drtool.sources.redis.rdb.dump import NEVER, Dump
from drtool.sources.redis.records import HEAD, PART_BYTES, Entry, record, record_key, records_of
from drtool.sources.redis.replication import Download
from drtool.sources.redis.scanning import scan
from drtool.sources.redis.spool import Order, Tally

_TYPES = [bytes((number,)) for number in range(256)]
_MODULES = "What modules keep beside the keys is not backed up: {}."
_NO_FUNCTIONS = "Functions are not backed up: the user may not list them (+function|list)."
_HEAD_REST = HEAD.size - 4


@dataclass(frozen=True, slots=True)
class Selection:
    """What is backed up: ``databases`` (empty: all), but not keys that a pattern of ``exclude`` fits."""

    databases: tuple[int, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self) -> Callable[[int, bytes], bool]:
        """Says so of a database and a key."""
        excluded, databases = excluding(self.exclude), frozenset(self.databases)
        if databases:
            return lambda database, key: database in databases and not excluded(key)
        return lambda _, key: not excluded(key)


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

    def records(self, database: int, change: Callable[[Entry], Entry] | None = None) -> Iterator[Record]:
        """The records of a database in order; with `change`, of what it makes of each key."""
        if database not in self.order.tallies:
            return
        data = self.data
        for key, expiry, number, offset, length in self.order.read(database):
            if change is not None:
                yield from records_of(change(Entry(key, expiry, _TYPES[number] + data[offset : offset + length])))
            elif length < PART_BYTES:
                size = len(key)
                head = HEAD.pack(_HEAD_REST + size + 1 + length, size, expiry, 0, length + 1)
                yield key, b"".join((head, key, _TYPES[number], data[offset : offset + length]))
            else:
                yield from self._parts(key, expiry, number, offset, length)

    def close(self) -> None:
        """Give up the files. Safe to call twice."""
        if isinstance(self.data, mmap):
            self.data.close()
        self.file.close()
        self.order.close()

    def _parts(self, key: bytes, expiry: int, number: int, offset: int, length: int) -> Iterator[Record]:
        """The same as `records_of`, without the whole value in memory."""
        for part in range(-(-(length + 1) // PART_BYTES)):
            start, end = max(0, part * PART_BYTES - 1), min(length, (part + 1) * PART_BYTES - 1)
            value = (b"" if part else _TYPES[number]) + self.data[offset + start : offset + end]
            yield record_key(key, part), record(key, expiry, part, length + 1, value)


def read_dump(download: Download, selection: Selection) -> Reading:
    """Of a dump; without keys whose time had passed when it was taken: no client sees them."""
    file = download.wait()
    dump = Dump(mmap(file.fileno(), 0, access=ACCESS_READ))
    order = Order()
    try:
        dead = NEVER
        for database, found in dump.keys(selection.takes()):
            if dead == NEVER:
                dead = int(dump.fields.get(b"ctime", b"0")) * 1000
            if found[1] == NEVER or found[1] > dead:
                order.add(database, found)
        order.close_runs()
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
        scan(uri, server, databases, selection.takes(), order, file)
        order.close_runs()
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
