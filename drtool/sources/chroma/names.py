"""What collections are called: ``docs`` in the default tenant and database, else ``tenant/database/docs``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256

from drtool.errors import SourceError

#: What a restore of its own calls the collection that lists those which have their names already.
_FINISHING = "drtool-restore-"
_UNFINISHED = re.compile(r"(?P<base>.+)\.drtool-(?P<mark>[0-9a-f]{16})", re.DOTALL)
_LONGEST = 480

DEFAULT_TENANT = "default_tenant"
DEFAULT_DATABASE = "default_database"


@dataclass(frozen=True, slots=True, order=True)
class Namespace:
    """A database of a tenant."""

    tenant: str = DEFAULT_TENANT
    database: str = DEFAULT_DATABASE

    def __str__(self) -> str:
        return f"{self.tenant}/{self.database}"

    def stream(self, collection: str) -> str:
        """The name of a collection's stream."""
        return collection if self == DEFAULT else f"{self}/{collection}"


DEFAULT = Namespace()


def split(stream: str) -> tuple[Namespace, str]:
    """Where a collection is, and its own name. ``SourceError`` for a name that no collection has."""
    parts = stream.split("/")
    if len(parts) == 1:
        return DEFAULT, stream
    if len(parts) != 3:
        raise SourceError(f"{stream} names no collection: COLLECTION or TENANT/DATABASE/COLLECTION")
    return Namespace(parts[0], parts[1]), parts[2]


def whole(stream: str) -> str:
    """The name without what belongs to a part of a collection (``#vectors``)."""
    return stream.partition("#")[0]


def matches(stream: str, pattern: str) -> bool:
    """A collection as its stream is called, TENANT/DATABASE for all in it, or a glob."""
    name = whole(stream)
    place, _ = split(name)
    return fnmatchcase(name, pattern) or pattern == str(place)


def rename(stream: str, old: str, new: str) -> str | None:
    """A collection by its very name, or all of one database into another."""
    name, mark, part = stream.partition("#")
    place, collection = split(name)
    if name == old:
        return f"{new}{mark}{part}"
    if str(place) == old and new.count("/") == 1:
        tenant, _, database = new.partition("/")
        return f"{Namespace(tenant, database).stream(collection)}{mark}{part}"
    return None


def mark_of(marker: str) -> str:
    """A restore's marker as it fits into names."""
    return sha256(marker.encode()).hexdigest()[:16]


def unfinished(collection: str, mark: str) -> str:
    """What a collection is called while it is being restored."""
    return f"{_base(collection)}.drtool-{mark}"


def finishing(mark: str) -> str:
    """What the collection is called that lists those which may have their names already."""
    return _FINISHING + mark


def is_ours(collection: str) -> bool:
    """Does a restore that goes on, or was interrupted, call a collection so?"""
    return (
        _UNFINISHED.fullmatch(collection) is not None
        or re.fullmatch(_FINISHING + "[0-9a-f]{16}", collection) is not None
    )


def mark_in(name: str, collection: str) -> str | None:
    """The mark in `name`, if that is what an unfinished restore calls `collection`."""
    found = _UNFINISHED.fullmatch(name)
    return found["mark"] if found is not None and found["base"] == _base(collection) else None


def _base(collection: str) -> str:
    if len(collection) <= _LONGEST:
        return collection
    return f"{collection[: _LONGEST - 17]}-{sha256(collection.encode()).hexdigest()[:16]}"
