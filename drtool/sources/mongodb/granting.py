"""Users and roles in a target: what is in their way, what they lack there, and how they get in.

The server takes them through ``_mergeAuthzCollections``: documents are put into ``admin.tempusers`` and
``admin.temproles``, and it copies those that it does not have. It passes over in silence what it cannot take, so what
stands there afterwards is compared. The two names are the only ones that the role `restore` may merge from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import cast

from bson.raw_bson import RawBSONDocument
from pymongo import WriteConcern

from drtool.errors import IncompleteRestoreError, SourceError
from drtool.sources.mongodb.accounts import (
    HOLDERS,
    SCHEMA,
    digest_of_role,
    digest_of_user,
    members,
    needs,
    schema_version,
)
from drtool.sources.mongodb.connection import RAW, Client, Deployment, Document
from drtool.sources.mongodb.definitions import Kind
from drtool.sources.mongodb.planning import Placed

_TEMPORARY = {Kind.USERS: "tempusers", Kind.ROLES: "temproles"}
_PARAMETER = {Kind.USERS: "tempUsersCollection", Kind.ROLES: "tempRolesCollection"}
#: How many users or roles are asked for at once, and how many a sentence names.
_AT_ONCE = 1000
_NAMED = 5


def check_takes_accounts(client: Client, where: str, accounts: Sequence[Placed]) -> None:
    """Raises ``SourceError`` where the server cannot be given users and roles at all, and pymongo's errors."""
    if not accounts:
        return
    if is_atlas(where):
        raise SourceError(
            "Atlas manages users and roles itself and does not take them from a backup",
            hint="Restore without them (--no-users), and create them in Atlas.",
        )
    if (schema := schema_version(client)) != SCHEMA:
        raise SourceError(f"{where} keeps users in form {schema} (authSchemaVersion), not {SCHEMA}")


def is_atlas(where: str) -> bool:
    """Does an address belong to Atlas?"""
    hosts = where.rpartition("://")[2].partition("/")[0].split(",")
    return any(host.partition(":")[0].endswith(".mongodb.net") for host in hosts)


def in_the_way(client: Client, accounts: Iterable[Placed]) -> Iterator[str]:
    """Users and roles that the target has under the same name, and that are others. Those that are the same are as
    good as restored."""
    for each in accounts:
        wanted, there = members(each.definition), _there(client, each)
        others = sorted(name for name, digest in there.items() if wanted[name] != digest)
        if others:
            verb = "exists and differs" if len(others) == 1 else "exist and differ"
            yield f"{each.item.name}: {_listed(others)} {verb} (--no-users leaves users and roles alone)"


def lacking(client: Client, accounts: Sequence[Placed]) -> Iterator[str]:
    """Which roles of the operators' own neither the plan nor the target has."""
    planned = {name for each in accounts if each.definition.kind is Kind.ROLES for name in members(each.definition)}
    for each in accounts:
        wanted = [name for name in needs(each.definition) if name not in planned]
        missing = sorted(set(wanted) - _roles(client, wanted).keys())
        if missing:
            yield (
                f"{each.item.name}: some have {_listed(missing)}, which neither this restore nor the target has;"
                " until it is created it grants nothing"
            )


def merge(
    client: Client,
    deployment: Deployment,
    accounts: Sequence[Placed],
    held: Mapping[str, Sequence[bytes]],
    progress: Callable[[str], None],
) -> Mapping[str, int]:
    """Give the target the users and roles `held` (by stream, documents as they were read). May be repeated.

    Returns how many of each stream were there already, as they are in the snapshot.
    Raises ``IncompleteRestoreError`` where one is not there afterwards as it was, and pymongo's errors.
    """
    if not accounts:
        return {}
    already = {each.item.name: len(_same(client, each)) for each in accounts}
    concern = WriteConcern(1 if deployment.topology == "standalone" else "majority")
    command: Document = {"_mergeAuthzCollections": 1, "db": "", "drop": False, "writeConcern": concern.document}
    try:
        for kind, temporary in _TEMPORARY.items():
            client.admin.drop_collection(temporary)
            documents = [
                one for each in accounts if each.definition.kind is kind for one in held.get(each.item.name, ())
            ]
            if documents:
                into = client.admin.get_collection(temporary, codec_options=RAW, write_concern=concern)
                into.insert_many(cast("list[Document]", [RawBSONDocument(one, RAW) for one in documents]))
                command[_PARAMETER[kind]] = f"admin.{temporary}"
        if not command.keys().isdisjoint(_PARAMETER.values()):  # with nothing to merge it is an error
            client.admin.command(command)
    finally:
        for temporary in _TEMPORARY.values():
            client.admin.drop_collection(temporary)
    for each in accounts:
        _check(client, each)
        progress(f"{each.item.name}: there as in the snapshot")
    return already


def _check(client: Client, placed: Placed) -> None:
    wrong = sorted(members(placed.definition).keys() - _same(client, placed))
    if wrong:
        raise IncompleteRestoreError(
            f"{placed.item.name}: the server did not take {_listed(wrong)} as in the snapshot",
            hint="Its log says why (mergeAuthzCollections). Everything else came back.",
        )


def _same(client: Client, placed: Placed) -> set[str]:
    """Of those that the plan brings, the ones that the target has as they are in the snapshot."""
    wanted = members(placed.definition)
    return {name for name, digest in _there(client, placed).items() if wanted[name] == digest}


def _there(client: Client, placed: Placed) -> dict[str, str]:
    """Of those that the plan brings, the ones that the target has, with their digests."""
    names = list(members(placed.definition))
    return _users(client, names) if placed.definition.kind is Kind.USERS else _roles(client, names)


def _users(client: Client, names: Sequence[str]) -> dict[str, str]:
    holder = client.admin.get_collection(HOLDERS[Kind.USERS], codec_options=RAW)
    found: dict[str, str] = {}
    for some in _portions(names):
        for user in cast("Iterable[RawBSONDocument]", holder.find({"_id": {"$in": some}})):
            found[user["_id"]] = digest_of_user(bytes(user.raw))
    return found


def _roles(client: Client, names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for some in _portions(names):
        command = {
            "rolesInfo": [dict(zip(("db", "role"), name.split(".", 1), strict=True)) for name in some],
            "showPrivileges": True,
            "showAuthenticationRestrictions": True,
        }
        for role in client.admin.command(command)["roles"]:
            found[f"{role['db']}.{role['role']}"] = digest_of_role(role)
    return found


def _portions(names: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _AT_ONCE):
        yield list(names[start : start + _AT_ONCE])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
