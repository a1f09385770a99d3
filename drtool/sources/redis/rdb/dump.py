"""A whole dump file: its keys, in the order in which the server wrote them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from mmap import mmap
from typing import Protocol

from drtool.sources.redis.rdb import types
from drtool.sources.redis.rdb.strings import DamagedDumpError, read_length, read_string, skip_string
from drtool.sources.redis.rdb.walking import library_name, module_name, skip_module, skip_value
from drtool.sources.redis.records import HEAD, PART_BYTES

_SLOT_INFO, _FUNCTION, _FUNCTION_OLD, _MODULE_AUX, _IDLE, _FREQ, _AUX = range(244, 251)
_SIZES, _EXPIRES_MS, _EXPIRES, _DATABASE, _END = range(251, 256)
_LONG, _INT = struct.Struct("<q"), struct.Struct("<i")
_UNREADABLE = "The source's exclude can leave out such keys; method: scan does not help, for the values are the same."

#: What a record's first field counts beside the key and the value: the rest of the head, and the type.
_HEAD_REST = HEAD.size - 4 + 1
_TYPES = [bytes((number,)) for number in range(256)]
_NOT_ENOUGH = (IndexError, struct.error)
#: As many bytes as the longest way to say where a dump begins.
_BEGINNING = 9

NEVER = -1
"""The expiry of what does not expire."""

Window = bytes | mmap
"""Some of a dump, as it lies there."""

LeftOut = Callable[[bytes], bool]
"""Says of a key that it is not wanted."""


class Taker(Protocol):
    """Who is given what a dump holds."""

    def add(self, database: int, found: Mapping[bytes, bytes], types: set[int], expiring: int) -> None:
        """Records by key, the types among them, and how many of them expire."""

    def add_large(self, database: int, key: bytes, expiry: int, number: int, value: memoryview) -> None:
        """A value of type `number` that takes more than one record; valid during the call."""


@dataclass(slots=True)
class Dump:
    """A dump that is walked some of it at a time. What it holds is given to `taker`, but keys that are `left_out` (of a
    database, says so of a key), and those whose time had passed when the dump was taken: no client sees them.

    Beside the keys: its own fields, libraries of functions by name (code), and modules that keep data of their own in
    it. These are whole when it has ``ended``.
    """

    taker: Taker
    left_out: Callable[[int], LeftOut]
    fields: dict[bytes, bytes] = field(default_factory=dict)
    functions: dict[bytes, bytes] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    ended: bool = False
    _known: frozenset[int] | None = None
    _database: int = 0
    _is_left_out: LeftOut = field(init=False)
    _dead: int = NEVER

    def __post_init__(self) -> None:
        self._is_left_out = self.left_out(0)

    def walk(self, data: Window, at: int, limit: int) -> int:
        """Walk what there is from `at` on, up to the end of the first key that ends at `limit` or beyond. Returns how
        far that was possible: what is beyond is to be given again, with what follows it.

        ``DamagedDumpError`` for what is damaged or unknown, a module's value among it; not for what is left out.
        """
        if self._known is None:
            if len(data) - at < _BEGINNING:
                return at
            version = version_in(data[at : at + _BEGINNING])
            # Valkey has other types there.
            other = {types.HASH_METADATA, types.HASH_LISTPACK_EX} if version >= types.VALKEY_VERSIONS[0] else set()
            self._known = types.KNOWN - other
            at += _BEGINNING
        while at < limit and not self.ended:
            before = at
            at = self._walk(data, at, limit, self._known)
            if at == before:
                break
        return at

    def _walk(self, data: Window, at: int, limit: int, known: frozenset[int]) -> int:
        """In one database. All that is read counts only when the whole key was there."""
        # What almost all keys take is spelt out here: a call for each costs more than all the rest.
        pack, joined, kinds, rest, most = HEAD.pack, b"".join, _TYPES, _HEAD_REST, PART_BYTES
        single, plain = types.SINGLE, known - types.MODULES
        database, is_left_out, dead = self._database, self._is_left_out, self._dead
        total, expiry, done = len(data), NEVER, at
        found: dict[bytes, bytes] = {}
        large: list[tuple[bytes, int, int, int, int]] = []
        numbers: set[int] = set()
        expiring, last = 0, -1
        try:
            while (number := data[at]) < _SLOT_INFO or number not in (_DATABASE, _END):
                at += 1
                if number < _SLOT_INFO:
                    if (first := data[at]) < 0x40:
                        start = at + 1 + first
                        key = data[at + 1 : start]
                    elif first < 0x80:
                        start = at + 2 + ((first & 0x3F) << 8 | data[at + 1])
                        key = data[at + 2 : start]
                    else:
                        key, start = _string(data, at)
                    if number in single:
                        if (first := data[start]) < 0x40:
                            at = start + 1 + first
                        elif first < 0x80:
                            at = start + 2 + ((first & 0x3F) << 8 | data[start + 1])
                        else:
                            at = skip_string(data, start)
                    elif number in plain:
                        at = skip_value(number, data, start)
                    else:
                        done = at = self._skip_unreadable(key, data, number, start)
                        expiry = NEVER
                        continue
                    if at > total:
                        break
                    if (expiry == NEVER or expiry > dead) and not is_left_out(key):
                        if number != last:
                            numbers.add(number)
                            last = number
                        if expiry != NEVER:
                            expiring += 1
                        if (length := at - start) < most:
                            name = len(key)
                            head = pack(rest + name + length, name, expiry, 0, length + 1)
                            found[key] = joined((head, key, kinds[number], data[start:at]))
                        else:
                            large.append((key, expiry, number, start, at))
                    done = at
                    expiry = NEVER
                    if at >= limit:
                        break
                elif number == _EXPIRES_MS:
                    (expiry,) = _LONG.unpack_from(data, at)
                    at += 8
                else:
                    expiry, at = self._other(number, data, at, expiry)
            else:
                done = self._next(number, data, at + 1)
        except _NOT_ENOUGH:
            pass  # the rest is on its way
        if numbers:
            self.taker.add(database, found, numbers, expiring)
        for key, expiry, number, start, end in large:
            with memoryview(data) as whole, whole[start:end] as value:
                self.taker.add_large(database, key, expiry, number, value)
        return done

    def _next(self, number: int, data: Window, at: int) -> int:
        """Where a database begins, or the dump ends."""
        if number == _END:
            self.ended = True
            return at
        database, at = read_length(data, at)
        if at > len(data):
            raise IndexError
        self._database, self._is_left_out = database, self.left_out(database)
        self._dead = int(self.fields.get(b"ctime", b"0")) * 1000
        return at

    def _other(self, number: int, data: Window, at: int, expiry: int) -> tuple[int, int]:
        if number == _EXPIRES:
            return _INT.unpack_from(data, at)[0] * 1000, at + 4
        if number == _AUX:
            name, at = _string(data, at)
            self.fields[name], at = _string(data, at)
        elif number == _FUNCTION:
            code, at = _string(data, at)
            self.functions[library_name(code)] = code
        elif number == _MODULE_AUX:
            start = at
            _, at = read_length(data, start)
            at = skip_module(data, at)
            self.modules.add(module_name(data, start))
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

    def _skip_unreadable(self, key: bytes, data: Window, number: int, start: int) -> int:
        if start > len(data):
            raise IndexError
        shown = f"db{self._database}: {key.decode(errors='backslashreplace')}"
        if number == types.MODULE_2:
            _, at = read_length(data, start)
            if at > len(data):
                raise IndexError
            name = module_name(data, start)
            if not self._is_left_out(key):
                raise DamagedDumpError(
                    f"{shown} is of the type {name}, which belongs to a module: only Redis' own types are backed up",
                    hint=_UNREADABLE,
                )
            end = skip_module(data, at)
            if end > len(data):
                raise IndexError
            return end
        raise DamagedDumpError(f"{shown} is of type {number} in the dump, which is unknown")


def version_in(beginning: bytes) -> int:
    """The version of the format of a dump that begins so. ``DamagedDumpError`` where that is not known."""
    magic, digits = beginning[:5], beginning[5:9]
    if beginning[:6] == b"VALKEY":
        magic, digits = b"REDIS", beginning[6:9]
    if magic != b"REDIS" or not digits.isdigit():
        raise DamagedDumpError("what the server sent is no dump: it begins neither with REDIS nor with VALKEY")
    version = int(digits)
    if version > types.NEWEST_VERSION and version not in types.VALKEY_VERSIONS:
        raise DamagedDumpError(
            f"the server's dump has format {version}; formats up to {types.NEWEST_VERSION} are known",
            hint="This version of drtool is older than the server. Use a newer one, or method: scan.",
        )
    return version


def _string(data: Window, at: int) -> tuple[bytes, int]:
    """``IndexError`` where not all of it is there."""
    if skip_string(data, at) > len(data):
        raise IndexError
    return read_string(data, at)
