"""What the account lacks for a backup, found by trying: the server checks privileges before it looks for anything, so
what is asked for need not exist."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

from bson.binary import Binary
from pymongo.errors import OperationFailure

from drtool.sources.base import Lack
from drtool.sources.mongodb.catalogue import database_names
from drtool.sources.mongodb.connection import UNAUTHORIZED, Client, Deployment, Document
from drtool.sources.mongodb.names import BUCKETS, Selection

_NOTHING = "drtool_privileges"
_EVERY: Document = {"listDatabases": 1, "nameOnly": True, "authorizedDatabases": False}
_NAMED = 5
_PITR = "no incremental backups and no point-in-time recovery, and capped collections are fuzzy"


@dataclass(frozen=True, slots=True)
class _Trial:
    """A command in a database that needs just this privilege."""

    database: str
    command: Document
    lack: Lack


def find_lacks(client: Client, deployment: Deployment, selection: Selection) -> list[Lack]:
    """What one cannot do of what a backup does. Raises pymongo's errors."""
    databases = selection.of([] if selection.databases else (_all_names(client) or database_names(client)))
    return [trial.lack for trial in _trials(databases, deployment, selection) if not _allowed(client, trial)]


def unseen(client: Client, selection: Selection) -> list[str]:
    """Databases that are to be backed up and that the account may not see, as a warning; nothing where that cannot be
    told. Raises pymongo's errors."""
    if selection.databases:
        return []
    missing = sorted(set(selection.of(_all_names(client))) - set(database_names(client)))
    if not missing:
        return []
    named = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else "")
    return [f"Not in the backup, as the account may not read them: the databases {named}. Exclude them, or let it."]


def _all_names(client: Client) -> list[str]:
    """All databases there are; none where the account may not know."""
    try:
        reply = client.admin.command(_EVERY)
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        return []
    return [found["name"] for found in reply["databases"]]


def _trials(databases: list[str], deployment: Deployment, selection: Selection) -> Iterator[_Trial]:
    if not selection.databases:
        yield _of_all_databases()
    for database in databases:
        yield from _of_database(database)
    if selection.users != "none":
        yield from _of_accounts()
    if deployment.topology == "replica-set":
        yield from _of_set(databases)


def _allowed(client: Client, trial: _Trial) -> bool:
    try:
        client[trial.database].command(trial.command)
    except OperationFailure as error:
        return error.code != UNAUTHORIZED  # "there is no such collection" comes from who may look
    return True


def _of_all_databases() -> _Trial:
    lost = "databases that the account may not see are left out, and nothing says so"
    return _Trial("admin", _EVERY, Lack("listDatabases on the cluster", lost))


def _of_database(database: str) -> Iterator[_Trial]:
    whole = f"{database} cannot be backed up"
    yield _Trial(database, {"listCollections": 1, "nameOnly": True}, _fatal(f"listCollections on {database}", whole))
    yield _Trial(database, {"listIndexes": _NOTHING}, _fatal(f"listIndexes on {database}", whole))
    yield _Trial(database, _first(_NOTHING), _fatal(f"find on {database}", whole))
    scripts = f"{database} cannot be backed up once it holds server-side functions"
    yield _Trial(database, _first("system.js"), _fatal(f"find on {database}.system.js", scripts))
    yield _Trial(database, {"listIndexes": "system.js"}, _fatal(f"listIndexes on {database}.system.js", scripts))
    series = f"{database} cannot be backed up once it holds time series"
    yield _Trial(database, _first(BUCKETS + _NOTHING), _fatal(f"find on {database}.{BUCKETS}*", series))
    sizes = "sizes are unknown: no progress in per cent, and one reader for even the largest collection"
    yield _Trial(database, {"collStats": _NOTHING}, Lack(f"collStats on {database}", sizes))
    yield _Trial(database, {"collStats": BUCKETS + _NOTHING}, Lack(f"collStats on {database}.{BUCKETS}*", sizes))


def _of_accounts() -> Iterator[_Trial]:
    lost = "users and roles are not in the backup"
    for holder in ("system.users", "system.roles"):
        yield _Trial("admin", _first(holder), Lack(f"find on admin.{holder}", lost))
    yield _Trial("admin", {"getParameter": 1, "authSchemaVersion": 1}, Lack("getParameter on the cluster", lost))


def _of_set(databases: list[str]) -> Iterator[_Trial]:
    yield _Trial("local", _first("oplog.rs"), Lack("find on local.oplog.rs", _PITR))
    open_ones = "transactions that are open at the instant are not followed back, so a replay may lack their beginning"
    yield _Trial("config", _first("transactions"), Lack("find on config.transactions", open_ones))
    set_id = "the replica set is known by its name only: another one of that name passes for it"
    yield _Trial("admin", {"replSetGetConfig": 1}, Lack("replSetGetConfig on the cluster", set_id))
    for database in databases[:1]:
        by_uuid = {"find": Binary.from_uuid(uuid4()), "limit": 1, "singleBatch": True}
        names = "collections are read by name, and one dropped or renamed meanwhile is noticed by its absence only"
        yield _Trial(database, by_uuid, Lack("useUUID on the cluster", names))


def _first(collection: str) -> Document:
    return {"find": collection, "limit": 1, "singleBatch": True, "projection": {"_id": 1}}


def _fatal(privilege: str, lost: str) -> Lack:
    return Lack(privilege, lost, fatal=True)
