"""Namespaces: which are backed up, which answer to what a user typed, and what they are called elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from drtool.errors import ConfigError, UsageError

#: Databases that belong to the deployment and not to an application.
INTERNAL_DATABASES = ("admin", "local", "config")
#: Where a restore leaves its marker (in each database that it writes to).
MARKER_COLLECTION = "drtool_restore"
BUCKETS = "system.buckets."
#: Where an aggregation with ``$out`` writes to, to rename it onto its target.
_ON_THE_WAY = "tmp.agg_out"
_GLOB = "*?["
#: What follows the database's name in the streams of its users and of its roles (servers allow no collection a ``$``).
USERS, ROLES = "$users", "$roles"
#: Where users are defined who prove themselves elsewhere (X.509, LDAP, Kerberos).
EXTERNAL = "$external"
#: What the server allows, in bytes: a name with its database, and a database's name.
LONGEST_NAMESPACE = 255
LONGEST_DATABASE = 63
_IMPOSSIBLE_IN_DATABASES = frozenset('/\\. "$\0')
_IMPOSSIBLE_IN_COLLECTIONS = frozenset("$\0")


def split(namespace: str) -> tuple[str, str]:
    """Database and collection; a database's name has no dot, a collection's may."""
    database, _, collection = namespace.partition(".")
    return database, collection


def is_of_accounts(namespace: str) -> bool:
    """Is it a stream of users or roles?"""
    return split(namespace)[1] in (USERS, ROLES)


def is_of_restores(namespace: str) -> bool:
    """Does a restore keep it for itself: its marker, or a collection that waits for its name?"""
    collection = split(namespace)[1]
    return collection == MARKER_COLLECTION or collection.startswith(f"{MARKER_COLLECTION}.")


def parked(database: str, identity: str) -> str:
    """Where a collection waits in the target until the log gives it a name that is wanted."""
    return f"{database}.{MARKER_COLLECTION}.{identity}"


def names_accounts(pattern: str) -> bool:
    """Does a pattern mean users and roles in particular (``app.$users``, ``*.$*``)?"""
    return split(pattern)[1].startswith("$")


def matches(namespace: str, pattern: str) -> bool:
    """Does it answer to ``db``, ``db.collection`` or a glob of either? ``db.*`` does not reach users and roles."""
    database, _ = split(namespace)
    if "." in pattern:
        if is_of_accounts(namespace) and not names_accounts(pattern):
            return False
        return namespace == pattern or fnmatchcase(namespace, pattern)
    return database == pattern or fnmatchcase(database, pattern)


def passes_over(namespace: str, pattern: str) -> bool:
    """Is it the server's, a restore's marker or what an aggregation writes on the way (``$out``), without a pattern
    that names such?"""
    if "." in pattern and not set(pattern) & set(_GLOB):
        return False
    (database, collection), (wanted, of_wanted) = split(namespace), split(pattern)
    if database in INTERNAL_DATABASES and wanted != database:
        return True
    return any(
        f"{collection}.".startswith(f"{own}.") and not of_wanted.startswith(own)
        for own in (MARKER_COLLECTION, _ON_THE_WAY)
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """What a source backs up: `databases` by name (none: all of applications), less what `exclude` matches.

    `users` is ``all``, ``databases`` (users and roles defined in those) or ``none``; if not said, it is ``databases``
    where databases are named, else ``all``.
    """

    databases: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    users: str | None = None

    def __post_init__(self) -> None:
        """Raises ``ConfigError`` for a database that cannot be backed up this way."""
        for name in self.databases:
            if name in INTERNAL_DATABASES or "." in name or not name:
                raise ConfigError(f"databases: {name!r} is not a database that can be backed up")

    def of(self, existing: Iterable[str]) -> list[str]:
        """The databases to look into, by name."""
        wanted = set(self.databases) if self.databases else set(existing) - set(INTERNAL_DATABASES)
        return sorted(name for name in wanted if not any("." not in p and matches(name, p) for p in self.exclude))

    def takes(self, namespace: str) -> bool:
        """Is this collection or view of a selected database backed up?"""
        _, collection = split(namespace)
        if is_of_restores(namespace) or (collection.startswith("system.") and collection != "system.js"):
            return False
        return not any(matches(namespace, pattern) for pattern in self.exclude)

    def takes_accounts(self, namespace: str) -> bool:
        """Is this stream of users or roles backed up?"""
        database, _ = split(namespace)
        scope = self.users or ("databases" if self.databases else "all")
        if scope == "none" or any(matches(namespace, pattern) for pattern in self.exclude):
            return False
        if scope == "all":
            return True
        return database in self.databases if self.databases else database not in (*INTERNAL_DATABASES, EXTERNAL)


def beside(namespace: str, suffix: str) -> str:
    """The name under which it is restored beside the original: ``app.users`` → ``app_<suffix>.users``.

    Users and roles keep theirs: the databases that they name do not change with it.
    """
    if is_of_accounts(namespace):
        return namespace
    database, collection = split(namespace)
    room = LONGEST_DATABASE - len(suffix.encode()) - 1
    shortened = database.encode()[:room].decode(errors="ignore")
    return f"{shortened}_{suffix}.{collection}"


def _why_impossible(namespace: str) -> str:
    """Why no collection can be restored under this name; empty if one can."""
    database, collection = split(namespace)
    size = len(namespace.encode())
    if database in INTERNAL_DATABASES:
        return f"the database {database} belongs to the server"
    if not database or not _IMPOSSIBLE_IN_DATABASES.isdisjoint(database):
        return "a database's name is not empty and has none of the characters / \\ . \" $, space and NUL in it"
    if len(database.encode()) > LONGEST_DATABASE:
        return f"a database's name has at most {LONGEST_DATABASE} bytes"
    if not collection or collection.startswith(".") or not _IMPOSSIBLE_IN_COLLECTIONS.isdisjoint(collection):
        return "a collection's name is not empty, does not begin with a dot, and has no $ and no NUL in it"
    if is_of_restores(namespace) or (collection.startswith("system.") and collection != "system.js"):
        return "that name is kept for what the server or a restore needs itself"
    return f"{size} bytes are too long, at most {LONGEST_NAMESPACE} are allowed" if size > LONGEST_NAMESPACE else ""


def rename(namespace: str, old: str, new: str) -> str | None:
    """Its name after ``old=new``: databases, collections, or globs with one ``*`` on each side; None where it does
    not apply.

    Raises ``UsageError`` for a pair that has no meaning, such as one that renames users or roles, or that gives a name
    which cannot be.
    """
    renamed = _renamed(namespace, old, new)
    why = "" if renamed is None else _why_impossible(renamed)
    if why:
        raise UsageError(f"nothing can be restored as {renamed}: {why}", hint="Choose another name with --rename.")
    return renamed


def _renamed(namespace: str, old: str, new: str) -> str | None:
    if ("." in old) != ("." in new):
        raise UsageError(f"{old}={new}: either both sides name a database or both a collection")
    if old.count("*") != new.count("*") or old.count("*") > 1:
        raise UsageError(f"{old}={new}: a pattern has one * on each side")
    database, collection = split(namespace)
    if is_of_accounts(namespace):
        if names_accounts(old) and matches(namespace, old):
            raise UsageError(f"{old}={new}: users and roles keep their database")
        return None
    if "." not in old:
        renamed = _replace(database, old, new)
        return None if renamed is None else f"{renamed}.{collection}"
    return _replace(namespace, old, new)


def _replace(name: str, old: str, new: str) -> str | None:
    if name == old:
        return new
    head, star, tail = old.partition("*")
    if not star or len(name) < len(head) + len(tail) or not (name.startswith(head) and name.endswith(tail)):
        return None
    return new.replace("*", name[len(head) : len(name) - len(tail)])
