"""The types of values, by their number in a dump file, and which servers can load them."""

from __future__ import annotations

STRING, LIST, SET, ZSET, HASH, ZSET_2, MODULE_1, MODULE_2 = range(8)
HASH_ZIPMAP, LIST_ZIPLIST, SET_INTSET, ZSET_ZIPLIST, HASH_ZIPLIST = range(9, 14)
LIST_QUICKLIST, STREAM, HASH_LISTPACK, ZSET_LISTPACK, LIST_QUICKLIST_2, STREAM_2 = range(14, 20)
SET_LISTPACK, STREAM_3 = 20, 21
HASH_METADATA, HASH_LISTPACK_EX = 24, 25

#: Values that are one string, whatever is in it.
SINGLE = frozenset(
    {STRING, HASH_ZIPMAP, LIST_ZIPLIST, SET_INTSET, ZSET_ZIPLIST, HASH_ZIPLIST}
    | {HASH_LISTPACK, ZSET_LISTPACK, SET_LISTPACK}
)
STREAMS = frozenset({STREAM, STREAM_2, STREAM_3})
MODULES = frozenset({MODULE_1, MODULE_2})
KNOWN = frozenset(
    {LIST, SET, ZSET, HASH, ZSET_2, LIST_QUICKLIST, LIST_QUICKLIST_2, HASH_METADATA, HASH_LISTPACK_EX}
    | SINGLE
    | STREAMS
    | MODULES
)

#: The version that every server from Redis 5 on loads.
OLDEST_VERSION = 9
#: The newest version whose files are read. Valkey counts from 80 (https://github.com/valkey-io/valkey, ``src/rdb.h``).
NEWEST_VERSION, VALKEY_VERSIONS = 12, (80,)
#: The version of functions (``FUNCTION LOAD``).
FUNCTIONS_VERSION = 10

#: The version of the format that brought a type.
_SINCE = {
    **dict.fromkeys((HASH_LISTPACK, ZSET_LISTPACK, LIST_QUICKLIST_2, STREAM_2), 10),
    **dict.fromkeys((SET_LISTPACK, STREAM_3), 11),
    **dict.fromkeys((HASH_METADATA, HASH_LISTPACK_EX), 12),
}
_SERVERS = {9: "Redis 5", 10: "Redis 7.0", 11: "Redis 7.2", 12: "Redis 7.4"}
_KINDS = {
    "string": (STRING,),
    "list": (LIST, LIST_ZIPLIST, LIST_QUICKLIST, LIST_QUICKLIST_2),
    "set": (SET, SET_INTSET, SET_LISTPACK),
    "sorted set": (ZSET, ZSET_2, ZSET_ZIPLIST, ZSET_LISTPACK),
    "hash": (HASH, HASH_ZIPMAP, HASH_ZIPLIST, HASH_LISTPACK, HASH_METADATA, HASH_LISTPACK_EX),
    "stream": (STREAM, STREAM_2, STREAM_3),
}
_KIND_OF = {number: kind for kind, numbers in _KINDS.items() for number in numbers}


def version_of(number: int) -> int:
    """The oldest version of the format that has this type: what a payload of it is stamped with."""
    return _SINCE.get(number, OLDEST_VERSION)


def server_of(version: int) -> str:
    """The oldest server that loads this version of the format, for people."""
    return _SERVERS.get(version, f"a server with dump format {version}")


def kind_of(number: int) -> str:
    """What users call a type."""
    return _KIND_OF.get(number, f"type {number}")


def loads(version: tuple[int, ...], *, valkey: bool) -> int:
    """The newest version of the format that a server of this version loads."""
    if valkey or version < (7, 4):
        return 11 if version >= (7, 2) else 10 if version >= (7,) else OLDEST_VERSION
    return NEWEST_VERSION
