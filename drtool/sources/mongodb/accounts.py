"""Users and roles: which there are, what a definition tells of them, and when they come back.

A stream holds those that are defined in one database (``app.$users``): the documents of ``admin.system.users`` or
``admin.system.roles`` whose ``db`` it is, as they are, in ``_id`` order. The options of its definition are ``{members,
needs}``: `members` maps each ``_id`` to a digest by which a target tells whether it has the same one, `needs` lists the
``_id`` of every role of the operators' own that they have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, cast

import bson
from bson import json_util
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure

from drtool.sources.mongodb.catalogue import Entry
from drtool.sources.mongodb.connection import RAW, UNAUTHORIZED, Client, Document
from drtool.sources.mongodb.definitions import Definition, Kind, decoded
from drtool.sources.mongodb.names import ROLES, USERS, Selection, is_of_accounts, matches, names_accounts, split

#: Where the server keeps them, in `admin`.
HOLDERS = {Kind.USERS: "system.users", Kind.ROLES: "system.roles"}
#: The form that all servers since 4.0 keep them in (SCRAM).
SCHEMA = 5
_ATLAS_ERROR = 8000  # whatever Atlas does not allow
_NAMED = 3


def list_accounts(client: Client, takes: Callable[[str], bool]) -> list[Entry]:
    """The streams of users and roles that `takes` accepts. Raises pymongo's errors."""
    found = {kind: _documents(client, kind) for kind in HOLDERS}
    custom = {str(role["_id"]) for role in found[Kind.ROLES]}
    return [
        Entry("admin", _definition(name, kind, members, custom), HOLDERS[kind], None)
        for kind, documents in found.items()
        for name, members in _by_stream(kind, documents).items()
        if takes(name)
    ]


def why_unreadable(client: Client) -> str:
    """Why users and roles cannot be backed up here, as a sentence; empty where they can."""
    try:
        for holder in HOLDERS.values():
            client.admin.command({"find": holder, "limit": 1, "singleBatch": True})
        schema = schema_version(client)
    except OperationFailure as error:
        if error.code not in (UNAUTHORIZED, _ATLAS_ERROR):
            raise
        return (
            "Users and roles are not in the backup: the account may not read them. Grant it the role `backup`, "
            "or say `users: none`."
        )
    if schema == SCHEMA:
        return ""
    return f"Users and roles are not in the backup: they are kept in form {schema} (authSchemaVersion), not {SCHEMA}."


def left_behind(client: Client, selection: Selection) -> str:
    """Who is defined elsewhere and has roles on what is backed up, where nobody said whether that is meant."""
    if selection.users is not None or not selection.databases:
        return ""
    here = list(selection.databases)
    wanted: Document = {"db": {"$nin": here}, "roles.db": {"$in": here}}
    found = sorted(user["_id"] for user in client.admin["system.users"].find(wanted, {"_id": 1}))
    if not found:
        return ""
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return (
        f"Not in the backup, though they have roles on what is: the users {', '.join(found[:_NAMED])}{more}, who are "
        "defined in other databases. `users: all` takes them; `users: databases` says that this is meant."
    )


def schema_version(client: Client) -> int:
    """The form that a server keeps users and roles in."""
    return int(client.admin.command({"getParameter": 1, "authSchemaVersion": 1})["authSchemaVersion"])


def left_out(
    names: Mapping[str, str], only: Sequence[str], users: bool | None, *, elsewhere: bool
) -> Mapping[str, str]:
    """Which streams of users and roles a restore leaves alone, and why (``Source.left_out``).

    Nobody gets a login by surprise: they come back on another server under the same names, or when asked for.
    """
    moved = {split(old)[0] for old, new in names.items() if split(old)[0] != split(new)[0]}
    data = {split(name)[0] for name in names if not is_of_accounts(name)}
    result: dict[str, str] = {}
    for stream in filter(is_of_accounts, names):
        asked = any(names_accounts(pattern) and matches(stream, pattern) for pattern in only)
        database = split(stream)[0]
        affected = database in moved if database in data else bool(moved)
        if users is False:
            result[stream] = "--no-users"
        elif users or asked:
            continue
        elif not elsewhere:
            result[stream] = "no account is created beside what is there; --users brings them back as they were"
        elif affected:
            result[stream] = (
                "databases that they name come back under other names; --users brings them back all the same"
            )
    return result


def members(definition: Definition) -> Mapping[str, str]:
    """The digest of each user or role by ``_id``."""
    return cast("Mapping[str, str]", decoded(definition.options)["members"])


def needs(definition: Definition) -> Sequence[str]:
    """The ``_id`` of every role of the operators' own that they have."""
    return cast("Sequence[str]", decoded(definition.options)["needs"])


def digest_of_user(raw: bytes) -> str:
    """Of a document of ``admin.system.users``: salts and all."""
    return sha256(raw).hexdigest()[:32]


def digest_of_role(role: Document) -> str:
    """Of a role, be it the stored document or what the command rolesInfo shows of it (the role `restore` may read
    nothing else)."""
    meaning = {
        "privileges": sorted(_privilege(each) for each in role.get("privileges", [])),
        "roles": sorted(_identity(each) for each in role.get("roles", [])),
        "restrictions": sorted(map(_as_text, _flat(role.get("authenticationRestrictions", [])))),
    }
    return sha256(json.dumps(meaning).encode()).hexdigest()[:32]


def _documents(client: Client, kind: Kind) -> list[RawBSONDocument]:
    holder = client.admin.get_collection(HOLDERS[kind], codec_options=RAW)
    return list(cast("Iterable[RawBSONDocument]", holder.find().hint([("_id", 1)])))


def _by_stream(kind: Kind, documents: Iterable[RawBSONDocument]) -> dict[str, list[RawBSONDocument]]:
    result: dict[str, list[RawBSONDocument]] = {}
    for document in documents:
        result.setdefault(f"{document['db']}.{USERS if kind is Kind.USERS else ROLES}", []).append(document)
    return result


def _definition(name: str, kind: Kind, documents: Sequence[RawBSONDocument], custom: set[str]) -> Definition:
    options = {
        "members": {document["_id"]: _digest(kind, document) for document in documents},
        "needs": sorted({_identity(role) for document in documents for role in document.get("roles", [])} & custom),
    }
    return Definition(name, kind, "", RawBSONDocument(bson.encode(options), RAW), None, ())


def _digest(kind: Kind, document: RawBSONDocument) -> str:
    return digest_of_user(bytes(document.raw)) if kind is Kind.USERS else digest_of_role(decoded(document))


def _identity(role: Mapping[str, Any]) -> str:
    return f"{role['db']}.{role['role']}"


def _privilege(privilege: Document) -> str:
    return _as_text({"resource": privilege["resource"], "actions": sorted(privilege["actions"])})


def _as_text(value: Document) -> str:
    return json_util.dumps(value, sort_keys=True)


def _flat(restrictions: Iterable[Any]) -> Iterator[Document]:
    for each in restrictions:
        if isinstance(each, list):
            yield from _flat(each)
        else:
            yield each
