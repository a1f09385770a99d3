"""The least that an account needs, as three roles, found by taking away one action after the other on a real server
(6.0.5). What a restore did not miss there is needed when it is repeated (`find`, `update`) or when a newer server adds
indexes of its own (`dropIndex`).

The built-in roles ``backup`` and ``restore`` will do as well, but for ``replSetGetConfig``, which `backup` lacks, and
for a replay, which wants ``readWriteAnyDatabase`` and ``dbAdminAnyDatabase`` beside `restore`. A replay follows a
restore over the same connection, so its role holds both. The action ``applyOps`` spares it ``anyAction`` on
``anyResource``: the server then checks each operation like the command that does the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Privilege = Mapping[str, Any]
"""``{resource, actions}`` as ``createRole`` takes it."""

_ANY = ("",)


def backup_privileges(databases: Sequence[str], *, users: bool) -> list[Privilege]:
    """To read these databases (all, where none is named) and, with `users`, the users and roles."""
    found = [_on_cluster("useUUID", "replSetGetConfig", *(() if databases else ("listDatabases",)))]
    for database in databases or _ANY:
        found += [
            _on(database, "", "find", "listCollections", "listIndexes", "collStats"),
            _on(database, "system.js", "find", "listIndexes"),
            _on_buckets(database, "find", "collStats"),
        ]
    found += [_on("local", "oplog.rs", "find"), _on("config", "transactions", "find")]
    if users:
        found += [
            _on("admin", "system.users", "find"),
            _on("admin", "system.roles", "find"),
            _on_cluster("getParameter"),
        ]
    return found


def restore_privileges() -> list[Privilege]:
    """To create and fill any database, and to put back users and roles."""
    return [
        _on(
            "",
            "",
            *("find", "insert", "update", "remove", "bypassDocumentValidation"),
            *("listCollections", "createCollection", "convertToCapped", "dropCollection", "collMod"),
            *("listIndexes", "createIndex", "dropIndex"),
            *("createUser", "createRole", "grantRole", "revokeRole", "viewRole"),
        ),
        _on_buckets("", "find", "insert", "bypassDocumentValidation"),
        _on(
            "",
            "system.js",
            *("find", "insert", "update", "remove", "bypassDocumentValidation"),
            *("dropCollection", "listIndexes"),
        ),
        _on("admin", "system.users", "find"),
        _on_cluster("getParameter"),
    ]


def replay_privileges() -> list[Privilege]:
    """To restore, and then to do again what the oplog holds."""
    writes = ("find", "insert", "update", "remove", "bypassDocumentValidation")
    return [
        *restore_privileges(),
        _on_cluster("applyOps"),
        _on("", "", "dropDatabase", "renameCollectionSameDB"),
        _on("", "system.js", *writes),
        _on_buckets("", *writes, "createCollection", "dropCollection", "collMod", "createIndex", "dropIndex"),
    ]


def commands(databases: Sequence[str], *, users: bool) -> Mapping[str, str]:
    """The commands that create the roles, for mongosh, by what each role is for."""
    wanted = {
        "backup": backup_privileges(databases, users=users),
        "restore": restore_privileges(),
        "replay": replay_privileges(),
    }
    return {purpose: _command(f"drtool{purpose.capitalize()}", privileges) for purpose, privileges in wanted.items()}


def _command(name: str, privileges: Sequence[Privilege]) -> str:
    lines = ",\n    ".join(json.dumps(privilege, ensure_ascii=False) for privilege in privileges)
    return (
        'db.getSiblingDB("admin").runCommand({\n'
        f'  "createRole": {json.dumps(name)},\n'
        f'  "privileges": [\n    {lines}\n  ],\n'
        '  "roles": []\n'
        "})"
    )


def _on(database: str, collection: str, *actions: str) -> Privilege:
    return {"resource": {"db": database, "collection": collection}, "actions": list(actions)}


def _on_buckets(database: str, *actions: str) -> Privilege:
    """On the bucket collections of time series, which ``collection`` does not cover."""
    return {"resource": {"db": database, "system_buckets": ""}, "actions": list(actions)}


def _on_cluster(*actions: str) -> Privilege:
    return {"resource": {"cluster": True}, "actions": list(actions)}
