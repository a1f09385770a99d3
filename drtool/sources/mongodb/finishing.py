"""What comes after all records: indexes, then views, then whatever lets records expire."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from drtool.errors import IncompleteRestoreError
from drtool.sources.mongodb import search
from drtool.sources.mongodb.connection import Client, Document
from drtool.sources.mongodb.creating import create
from drtool.sources.mongodb.definitions import Definition, Kind, decoded
from drtool.sources.mongodb.planning import Placed, in_order_of_views

_DUPLICATE_KEY = 11000
#: Commands that build indexes at the same time: as many as a server lets work at once (maxNumActiveUserIndexBuilds).
_BUILDERS = 3
_SIMPLE = {"locale": "simple"}


def finish(client: Client, placed: Sequence[Placed], progress: Callable[[str], None]) -> None:
    """Make the target's collections and views complete. May be repeated.

    Raises ``IncompleteRestoreError`` where an index cannot be built over the records, and pymongo's errors.
    """
    collections = [each for each in placed if each.definition.kind is not Kind.VIEW]
    _build_lasting(client, collections, progress)
    for each in collections:
        _build_search(client, each, progress)
    for view in in_order_of_views(placed):
        create(client, view)
    for each in collections:
        _let_expire(client, each)


def _build_search(client: Client, placed: Placed, progress: Callable[[str], None]) -> None:
    indexes = placed.definition.search_indexes
    if indexes and not search.create(client, placed.database, placed.collection, indexes):
        progress(without_search(placed))


def without_search(placed: Placed) -> str:
    """That a server without Atlas Search does not get these indexes, as a sentence."""
    names = ", ".join(str(spec["name"]) for spec in placed.definition.search_indexes)
    return f"{placed.item.name}: search indexes not restored, this server has none: {names}"


def expires(definition: Definition) -> bool:
    """Does anything let its records expire?"""
    return "expireAfterSeconds" in definition.options or any(map(_expiring, definition.indexes))


def _expiring(spec: RawBSONDocument) -> bool:
    return "expireAfterSeconds" in spec


def _build_lasting(client: Client, collections: Sequence[Placed], progress: Callable[[str], None]) -> None:
    """All indexes but those that expire records; those that newer servers add by themselves go.

    A command reads its collection once, on one core, whatever the number of its indexes; so the indexes of a collection
    that holds most of the records are shared out among several commands.
    """
    for each in collections:
        _drop_unwanted(client, each)
    wanted = [(each, specs) for each in collections if (specs := _lasting(each.definition))]
    wanted.sort(key=lambda one: -one[0].item.bytes)
    total = sum(each.item.bytes for each, _ in wanted)
    with ThreadPoolExecutor(_BUILDERS, thread_name_prefix="drtool-index") as pool:
        building = [
            (each, [pool.submit(_build, client, each, some) for some in _shared_out(specs, each.item.bytes, total)])
            for each, specs in wanted
        ]
        for each, commands in building:
            for command in commands:
                command.result()
            progress(f"{each.item.name}: indexes built")


def _shared_out(specs: Sequence[RawBSONDocument], size: int, total: int) -> Iterator[Sequence[RawBSONDocument]]:
    """As many groups as the collection's share of all bytes is worth."""
    groups = max(1, round(_BUILDERS * size / max(1, total)))
    for number in range(min(groups, len(specs))):
        yield specs[number::groups]


def _lasting(definition: Definition) -> list[RawBSONDocument]:
    return [spec for spec in definition.indexes if not _expiring(spec)]


def _drop_unwanted(client: Client, placed: Placed) -> None:
    wanted = {spec["name"] for spec in placed.definition.indexes}
    for name in _present(client, placed) - wanted:
        client[placed.database].command({"dropIndexes": placed.collection, "index": name})


def _present(client: Client, placed: Placed) -> set[str]:
    found = client[placed.database][placed.collection].list_indexes()
    return {spec["name"] for spec in found if spec["name"] != "_id_" and not spec.get("clustered")}


def _let_expire(client: Client, placed: Placed) -> None:
    _build(client, placed, [spec for spec in placed.definition.indexes if _expiring(spec)])
    seconds = placed.definition.options.get("expireAfterSeconds")
    if seconds is not None:
        client[placed.database].command({"collMod": placed.collection, "expireAfterSeconds": seconds})


def _build(client: Client, placed: Placed, specs: Sequence[RawBSONDocument]) -> None:
    if not specs:
        return
    command: Document = {
        "createIndexes": placed.collection,
        "indexes": [_with_collation(placed.definition, spec) for spec in specs],
        "ignoreUnknownIndexOptions": True,
    }
    try:
        client[placed.database].command(command)
    except OperationFailure as error:
        if error.code != _DUPLICATE_KEY:
            raise
        reason = str((error.details or {}).get("errmsg", error)).rpartition("caused by :: ")[2]
        raise IncompleteRestoreError(
            f"{placed.item.name}: its records violate a unique index: {reason}",
            hint="All records are kept in the target, without that index. Remove the duplicates and build it.",
        ) from error


def _with_collation(definition: Definition, spec: RawBSONDocument) -> Document:
    """The specification as `createIndexes` takes it.

    The catalogue leaves a simple collation out, and an index without one would inherit the collection's.
    """
    result = decoded(spec)
    if "collation" in definition.options and "collation" not in result:
        result["collation"] = _SIMPLE
    return result
