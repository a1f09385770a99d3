"""What an account lacks for a restore, by the privileges that the server says it has: trying would write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drtool.sources.base import Lack
from drtool.sources.mongodb.connection import Client
from drtool.sources.mongodb.roles import Privilege, replay_privileges, restore_privileges

#: Without one of these nothing is restored; without the others no restore can be repeated, or something is left out.
_NEEDED = frozenset({"insert", "createCollection", "createIndex"})
_SYSTEM = "system."


def find_restore_lacks(client: Client) -> list[Lack]:
    """What the account cannot do of what a restore, and one to a point in time, may do. Raises pymongo's errors.

    Nothing where the server has no access control, which shows by nobody being logged in, and yet let in.
    """
    command = {"connectionStatus": 1, "showPrivileges": True}
    granted = client.admin.command(command)["authInfo"]
    if not granted["authenticatedUsers"]:
        client.admin.command({"listDatabases": 1, "nameOnly": True})  # refused where there is access control
        return []
    missing = list(_missing(restore_privileges(), granted["authenticatedUserPrivileges"]))
    lacks = [
        Lack(
            shown,
            "there is no restore here" if actions & _NEEDED else "a restore of everything, or its repetition, may fail",
            fatal=bool(actions & _NEEDED),
        )
        for shown, actions in missing
    ]
    known = {shown for shown, _ in missing}
    replayed = _missing(replay_privileges(), granted["authenticatedUserPrivileges"])
    return lacks + [
        Lack(shown, "there is no restore to a point in time (--at, --before) here")
        for shown, _ in replayed
        if shown not in known
    ]


def _missing(wanted: Sequence[Privilege], granted: Sequence[Privilege]) -> Iterator[tuple[str, frozenset[str]]]:
    """The actions that are not granted, and the same as a text, by resource."""
    for privilege in wanted:
        resource = privilege["resource"]
        has = {action for each in granted if _covers(each["resource"], resource) for action in each["actions"]}
        actions = frozenset(privilege["actions"]) - (has if "anyAction" not in has else frozenset(privilege["actions"]))
        if actions:
            yield f"{', '.join(sorted(actions))} on {_shown(resource)}", actions


def _covers(granted: Privilege, wanted: Privilege) -> bool:
    """Does a privilege on the one resource hold for the other?

    https://www.mongodb.com/docs/manual/reference/resource-document/: an empty name stands for all, but collections of
    the system are only meant where they are named.
    """
    if granted.get("anyResource") or granted == wanted:
        return True
    if "cluster" in granted or "cluster" in wanted:
        return bool(granted.get("cluster")) and bool(wanted.get("cluster"))
    if granted.get("db", "") not in ("", wanted["db"]):
        return False
    if "system_buckets" in granted or "system_buckets" in wanted:
        if "system_buckets" not in wanted:
            return False
        return granted.get("system_buckets") in ("", wanted["system_buckets"])
    name, given = str(wanted["collection"]), granted.get("collection")
    return given == name or (given == "" and not name.startswith(_SYSTEM))


def _shown(resource: Privilege) -> str:
    if resource.get("cluster"):
        return "the cluster"
    database = resource["db"] or "any database"
    if "system_buckets" in resource:
        return f"the buckets of time series in {database}"
    return f"{database}'s {resource['collection']}" if resource["collection"] else database
