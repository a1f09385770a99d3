"""How many records are there after a replay."""

from __future__ import annotations

from drtool.sources.mongodb.connection import Client
from drtool.sources.mongodb.definitions import Definition
from drtool.sources.mongodb.planning import Placed
from drtool.sources.restoring import RestoreItem


def count(client: Client, item: RestoreItem) -> int:
    """Of one stream, as the server keeps count: exact for a collection that was made and filled while it ran.

    Of a time series its buckets, as a snapshot does; of a view none; of users and roles, which are not there yet, as
    many as are to come. Raises pymongo's errors.
    """
    placed = Placed(item, Definition.decode(item.stream.definition))
    if placed.is_of_accounts or not item.stream.has_records:
        return item.records
    return int(client[placed.database].command({"count": placed.records_in})["n"])
