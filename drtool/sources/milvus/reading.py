"""All rows of a collection in the order of their ids.

The client's own iterator does not do: it leaves out the row whose id is an empty text, and fails on ids with quotation
marks (pymilvus 3.0). So the same pages are asked for here.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from typing import Any

from drtool.errors import SourceError
from drtool.sources.milvus.connection import Connection, translated
from drtool.sources.milvus.definitions import DEFAULT_PARTITION, Definition
from drtool.sources.milvus.rows import Rows
from drtool.sources.vectors.joining import Item
from drtool.sources.vectors.records import Id, key_of

#: A page's size in bytes, and in rows: what Milvus answers at once.
_PAGE_BYTES = 4 * 1024 * 1024
_PAGE_ROWS = 4096
_SAMPLED = 64
#: What has a server answer in the order of ids.
_ORDERED = {"iterator": "True", "reduce_stop_for_best": "True"}


def count(connection: Connection, name: str) -> int:
    """How many rows a collection has."""
    with translated(connection.address, f"counting {name}"):
        told = connection.client.query(name, filter="", output_fields=["count(*)"], consistency_level="Strong")
        return int(told[0]["count(*)"])


def sample(connection: Connection, name: str, definition: Definition) -> list[Item]:
    """Some items, for their size."""
    rows = Rows(definition)
    with translated(connection.address, f"reading {name}"):
        return [rows.item(row, None) for row in _page(connection, name, rows.primary, "", _SAMPLED, None)]


def read(connection: Connection, name: str, definition: Definition, row_bytes: float) -> Iterator[list[Item]]:
    """All items, in batches. `row_bytes` is what one takes on average. Of rows with one id the first one counts."""
    limit = max(1, min(_PAGE_ROWS, int(_PAGE_BYTES / max(1.0, row_bytes))))
    parts = [None, *definition.partitions]
    streams = [_pages(connection, name, definition, max(1, limit // len(parts)), partition) for partition in parts]
    batch: list[Item] = []
    last: bytes | None = None
    for key, item in heapq.merge(*streams, key=lambda one: one[0]):
        if key != last:
            batch.append(item)
        last = key
        if len(batch) == limit:
            yield batch
            batch = []
    if batch:
        yield batch


def _pages(
    connection: Connection,
    name: str,
    definition: Definition,
    limit: int,
    partition: str | None,
) -> Iterator[tuple[bytes, Item]]:
    rows = Rows(definition)
    is_text = definition.primary["type"] == "VARCHAR"
    expression = f'{rows.primary} >= ""' if is_text else f"{rows.primary} < 0 or {rows.primary} >= 0"
    only = [partition or DEFAULT_PARTITION] if definition.partitions else None
    last: Id | None = None
    while True:
        with translated(connection.address, f"reading {name}"):
            page = _page(connection, name, rows.primary, expression, limit, only)
            for row in page:
                id_ = row[rows.primary]
                if last is not None and key_of(id_) <= key_of(last):
                    raise SourceError(f"{name}: Milvus did not answer in the order of ids: {id_!r} after {last!r}")
                last = id_
                yield key_of(id_), rows.item(row, partition)
        if len(page) < limit:
            return
        shown = json.dumps(last, ensure_ascii=False) if is_text else last
        expression = f"{rows.primary} > {shown}"


def _page(
    connection: Connection, name: str, primary: str, expression: str, limit: int, only: list[str] | None
) -> list[dict[str, Any]]:
    found = connection.client.query(
        name, filter=expression, limit=limit, output_fields=["*"], partition_names=only, **_ORDERED
    )
    return [dict(row) for row in found if primary in row]
