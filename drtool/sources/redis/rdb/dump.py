"""A whole dump file: its keys, in the order in which the server wrote them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from mmap import mmap

from drtool.sources.redis.rdb import types
from drtool.sources.redis.rdb.strings import DamagedDumpError, read_length, read_string, skip_string
from drtool.sources.redis.rdb.walking import library_name, module_name, skip_module, skip_value

_SLOT_INFO, _FUNCTION, _FUNCTION_OLD, _MODULE_AUX, _IDLE, _FREQ, _AUX = range(244, 251)
_SIZES, _EXPIRES_MS, _EXPIRES, _DATABASE, _END = range(251, 256)
_LONG, _INT = struct.Struct("<q"), struct.Struct("<i")
_UNREADABLE = "The source's exclude can leave out such keys; method: scan does not help, for the values are the same."

#: Keys that are handed on at a time, fewer where they take more bytes of the dump than these.
_BATCH, _BATCH_BYTES = 10_000, 8_000_000

NEVER = -1
"""The expiry of what does not expire."""

LeftOut = Callable[[bytes], bool]
"""Says of a key that it is not wanted."""

Found = tuple[bytes, int, int, int, int]
"""A key, its expiry in ms since 1970 or ``NEVER``, its type, and where its value lies in the file: offset and length,
without the type. No class of its own: there are millions."""


@dataclass(slots=True)
class Dump:
    """A dump file. Beside the keys: its version, its own fields, libraries of functions by name (code), and modules
    that keep data of their own in it. These are whole when all keys were read."""

    data: mmap
    fields: dict[bytes, bytes] = field(default_factory=dict)
    functions: dict[bytes, bytes] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)

    @property
    def version(self) -> int:
        """The version of its format. ``DamagedDumpError`` where that is not known."""
        magic, digits = self.data[:5], self.data[5:9]
        if self.data[:6] == b"VALKEY":
            magic, digits = b"REDIS", self.data[6:9]
        if magic != b"REDIS" or not digits.isdigit():
            raise DamagedDumpError("what the server sent is no dump: it begins neither with REDIS nor with VALKEY")
        version = int(digits)
        if version > types.NEWEST_VERSION and version not in types.VALKEY_VERSIONS:
            raise DamagedDumpError(
                f"the server's dump has format {version}; formats up to {types.NEWEST_VERSION} are known",
                hint="This version of drtool is older than the server. Use a newer one, or method: scan.",
            )
        return version

    def keys(self, left_out: Callable[[int], LeftOut]) -> Iterator[tuple[int, list[Found]]]:
        """The keys, some of a database at a time, but those that are `left_out` (of a database, says so of a key), and
        those whose time had passed when the dump was taken: no client sees them.

        ``DamagedDumpError`` for what is damaged or unknown, a module's value among it; not for what is left out.
        """
        if self.version >= types.VALKEY_VERSIONS[0]:
            known = types.KNOWN - {types.HASH_METADATA, types.HASH_LISTPACK_EX}  # other types there
        else:
            known = types.KNOWN
        try:
            yield from self._keys(left_out, known)
        except (IndexError, struct.error) as error:
            raise DamagedDumpError("the server's dump ends in the middle of a value") from error

    def _keys(self, left_out: Callable[[int], LeftOut], known: frozenset[int]) -> Iterator[tuple[int, list[Found]]]:
        data, at, expiry, dead = self.data, 9, NEVER, NEVER
        database, is_left_out = 0, left_out(0)
        # What almost all keys take is spelt out here: a call for each costs more than all the rest.
        unpack, single, plain, total = _LONG.unpack_from, types.SINGLE, known - types.MODULES, len(data)
        limit = at + _BATCH_BYTES
        found: list[Found] = []
        while (number := data[at]) != _END:
            at += 1
            if number < _SLOT_INFO:
                if (first := data[at]) < 0x40:
                    start = at + 1 + first
                    key = data[at + 1 : start]
                else:
                    key, start = read_string(data, at)
                if number not in plain:
                    at = self._skip_unreadable(database, key, number, start, is_left_out)
                else:
                    if number not in single:
                        at = skip_value(number, data, start)
                    elif (first := data[start]) < 0x40:
                        at = start + 1 + first
                    elif first < 0x80:
                        at = start + 2 + ((first & 0x3F) << 8 | data[start + 1])
                    else:
                        at = skip_string(data, start)
                    if at >= total:
                        raise IndexError
                    if (expiry == NEVER or expiry > dead) and not is_left_out(key):
                        found.append((key, expiry, number, start, at - start))
                expiry = NEVER
            elif number == _EXPIRES_MS:
                (expiry,) = unpack(data, at)
                at += 8
            elif number != _DATABASE:
                expiry, at = self._other(number, at, expiry)
            else:
                if found:
                    yield database, found
                    found = []
                database, at = read_length(data, at)
                is_left_out = left_out(database)
                dead = int(self.fields.get(b"ctime", b"0")) * 1000
            if len(found) == _BATCH or at > limit:
                if found:
                    yield database, found
                    found = []
                limit = at + _BATCH_BYTES
        if found:
            yield database, found

    def _other(self, number: int, at: int, expiry: int) -> tuple[int, int]:
        data = self.data
        if number == _EXPIRES:
            return _INT.unpack_from(data, at)[0] * 1000, at + 4
        if number == _AUX:
            name, at = read_string(data, at)
            self.fields[name], at = read_string(data, at)
        elif number == _FUNCTION:
            code, at = read_string(data, at)
            self.functions[library_name(code)] = code
        elif number == _MODULE_AUX:
            self.modules.add(module_name(data, at))
            _, at = read_length(data, at)
            at = skip_module(data, at)
        elif number == _IDLE:
            _, at = read_length(data, at)
        elif number == _FREQ:
            at += 1
        elif number in (_SIZES, _SLOT_INFO):
            for _ in range(2 if number == _SIZES else 3):
                _, at = read_length(data, at)
        else:
            raise DamagedDumpError(f"the dump holds an entry of kind {number}, which is unknown")
        return expiry, at

    def _skip_unreadable(self, database: int, key: bytes, number: int, start: int, is_left_out: LeftOut) -> int:
        shown = f"db{database}: {key.decode(errors='backslashreplace')}"
        if number == types.MODULE_2:
            name = module_name(self.data, start)
            if not is_left_out(key):
                raise DamagedDumpError(
                    f"{shown} is of the type {name}, which belongs to a module: only Redis' own types are backed up",
                    hint=_UNREADABLE,
                )
            _, at = read_length(self.data, start)
            return skip_module(self.data, at)
        raise DamagedDumpError(f"{shown} is of type {number} in the dump, which is unknown")
