"""Keys one by one (SCAN, DUMP), where a server gives no dump: what changes meanwhile is read before or after it did."""

from __future__ import annotations

from collections.abc import Sequence

from drtool.sources.redis.connection import Client, Server, connect, translated
from drtool.sources.redis.rdb.dump import NEVER, LeftOut
from drtool.sources.redis.rdb.strings import DamagedDumpError
from drtool.sources.redis.rdb.types import KNOWN, MODULES
from drtool.sources.redis.records import PART_BYTES, record, shown
from drtool.sources.redis.spool import Order

#: How many keys are asked for at a time; fewer where values are large.
_MOST, _LEAST = 1000, 4
_ENOUGH_BYTES = 4 * 1024 * 1024
#: After the value: two bytes of version, eight of checksum.
_FOOTER = 10


def scan(
    uri: str,
    server: Server,
    databases: Sequence[int],
    is_left_out: LeftOut,
    order: Order,
) -> None:
    """Put all keys that are not left out into `order`. A key that vanished meanwhile is left out."""
    for database in databases:
        client = connect(uri, database=database)
        try:
            with translated(uri, f"reading db{database} key by key"):
                _scan(client, server, database, is_left_out, order)
        finally:
            client.close()


def _scan(
    client: Client,
    server: Server,
    database: int,
    is_left_out: LeftOut,
    order: Order,
) -> None:
    cursor, at_a_time = 0, 64
    while True:
        cursor, names = client.scan(cursor, count=_MOST)
        wanted = [name for name in dict.fromkeys(names) if not is_left_out(name)]
        while wanted:
            batch, wanted = wanted[:at_a_time], wanted[at_a_time:]
            size = _dump(client, server, database, batch, order)
            at_a_time = max(_LEAST, at_a_time // 2) if size > _ENOUGH_BYTES else min(_MOST, at_a_time * 2)
        if cursor == 0:
            return


def _dump(client: Client, server: Server, database: int, names: Sequence[bytes], order: Order) -> int:
    absolute = server.numbers >= (7,)
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.execute_command("DUMP", name)
        pipeline.execute_command("PEXPIRETIME" if absolute else "PTTL", name)
    pipeline.time()
    *answers, (seconds, micros) = pipeline.execute()
    now = 0 if absolute else seconds * 1000 + micros // 1000
    found: dict[bytes, bytes] = {}
    types: set[int] = set()
    size = expiring = 0
    for name, payload, expiry in zip(names, answers[::2], answers[1::2], strict=True):
        if payload is None:
            continue
        if payload[0] in MODULES or payload[0] not in KNOWN:
            what = "a module's type" if payload[0] in MODULES else f"type {payload[0]}, which is unknown"
            raise DamagedDumpError(
                f"db{database}: {shown(name)} is of {what}: only Redis' own types are backed up",
                hint="The source's exclude can leave out such keys.",
            )
        value = payload[1:-_FOOTER]
        at = now + expiry if expiry >= 0 else NEVER
        types.add(payload[0])
        expiring += at != NEVER
        if len(value) < PART_BYTES:
            found[name] = record(name, at, 0, len(value) + 1, payload[:1] + value)
        else:
            order.add_large(database, name, at, payload[0], value)
        size += len(value)
    order.add(database, found, types, expiring)
    return size
