"""Keys of every type and form, and what a backup should hold of them, found without drtool's own reading."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from drtool.sources.cutting import CutRule
from drtool.sources.reading import Proof, StreamInfo
from drtool.sources.redis.comparing import normal
from drtool.sources.redis.connection import Client, connect, inspect_server
from drtool.sources.redis.definitions import Definition
from drtool.sources.redis.naming import MARKER
from drtool.sources.redis.rdb.dump import NEVER
from drtool.sources.redis.records import HEAD, PART_BYTES, entries
from drtool.sources.restoring import RestoreItem, RestorePlan

#: A rule for reading all of a stream.
RULE = CutRule.for_average(bytes(32), 100)
#: In a hundred years, in ms.
LATER = 4_900_000_000_123


def fill(uri: str) -> None:
    """Three databases; the first has a stream of several chunks."""
    client = connect(uri)
    chance = random.Random("redis")
    with client.pipeline(transaction=False) as pipe:
        for number in range(900):
            pipe.set(f"big:{number:05}", chance.randbytes(2000))
        pipe.execute()
    fill_types(client, chance)
    client.close()
    for number in (3, 11):
        other = connect(uri, database=number)
        other.set("where", f"in {number}")
        other.set("for a while", "x", pxat=LATER)
        other.close()


def fill_types(client: Client, chance: random.Random) -> None:
    """Keys whose value is of each type, small and large."""
    with client.pipeline(transaction=False) as pipe:
        for number, value in enumerate(
            (b"", b"0", b"-128", b"32767", b"2147483647", b"9223372036854775807", b"a" * 5000)
        ):
            pipe.set(f"string:{number}", value)
        pipe.set(b"\xff\x00 not text\r\n", chance.randbytes(70_000))
        pipe.set("k" * 20_000, "long key")
        pipe.set("larger than a part", chance.randbytes(2 * PART_BYTES + 17))
        pipe.set("just a part", chance.randbytes(PART_BYTES - 1 - 5))
        pipe.rpush("list:small", "a", -1, 5000, 2**40, "b" * 70, "c" * 5000)
        pipe.rpush("list:large", *(chance.randbytes(40) for _ in range(1000)))
        pipe.sadd("set:integers", *range(-5, 400))
        pipe.sadd("set:large integers", 2**40, -(2**40), 1)
        pipe.sadd("set:small", "x", "y", "17")
        pipe.sadd("set:large", *(f"member {number}" for number in range(800)))
        pipe.zadd("zset:small", {"a": 1.5, "b": float("-inf"), "17": 3})
        pipe.zadd("zset:large", {f"member {number}": chance.random() for number in range(500)})
        pipe.hset("hash:small", mapping={"name": "x", "n": "12", "empty": "", "negative": "-4000"})
        pipe.hset("hash:large", mapping={f"field {number}": chance.randbytes(30) for number in range(600)})
        pipe.set("expires", "x", pxat=LATER)
        pipe.hset("hash:expires", "a", "b")
        pipe.pexpireat("hash:expires", LATER + 1)
        for number in range(150):
            pipe.xadd("stream", {"n": number, "text": "t" * 40}, id=f"{number + 1}-0")
        pipe.execute()
    client.xdel("stream", "17-0")
    client.xgroup_create("stream", "workers", id="0")
    client.xgroup_create("stream", "idle", id="$")
    client.xreadgroup("workers", "one", {"stream": ">"}, count=10)
    client.xreadgroup("workers", "two", {"stream": ">"}, count=5)
    client.xack("stream", "workers", "3-0")
    client.xadd("stream:empty", {"x": 1}, id="5-5")
    client.xdel("stream:empty", "5-5")


def change(uri: str) -> None:
    """Add, alter and remove keys."""
    client = connect(uri)
    client.delete("set:small", "big:00001")
    client.set("big:00002", "other")
    client.hset("hash:small", "name", "y")
    client.set("new", "x")
    client.close()


def listing(uri: str) -> Mapping[str, Sequence[bytes]]:
    """What is there, by SCAN and DUMP, as records."""
    client = connect(uri)
    numbers = list(inspect_server(client, uri).databases) or [0]
    client.close()
    return {f"db{number}": _records(connect(uri, database=number)) for number in numbers}


def _records(client: Client) -> Sequence[bytes]:
    expiries = {b"hash:expires": LATER + 1}  # PEXPIRETIME came with Redis 7
    keys = sorted(set(client.scan_iter(count=1000)) - {MARKER})
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.pttl(key).dump(key)
        answers = pipe.execute()
    client.close()
    found = []
    for key, left, dumped in zip(keys, answers[::2], answers[1::2], strict=True):
        expiry, value = NEVER if left < 0 else expiries.get(key, LATER), dumped[:-10]
        for start in range(0, len(value), PART_BYTES):
            part = value[start : start + PART_BYTES]
            head = HEAD.pack(HEAD.size - 4 + len(key) + len(part), len(key), expiry, start // PART_BYTES, len(value))
            found.append(head + key + part)
    return found


def comparable(uri: str) -> Mapping[str, Sequence[tuple[bytes, int, object]]]:
    """What is there, in whatever order and form the server keeps it."""
    return {
        name: [(entry.key, entry.expiry, normal(entry.value)) for entry in entries(records)]
        for name, records in listing(uri).items()
    }


def plan_of() -> RestorePlan:
    """A plan for one empty database."""
    stream = StreamInfo("db0", "database", Proof.CANONICAL, Definition().encode(), identity="0")
    return RestorePlan((RestoreItem(stream, "db0", 0, 0),), "marker")
