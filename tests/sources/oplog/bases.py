"""Views and bases made by hand, with a bound wherever a test wants one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import bson

from drtool.sources.mongodb.keys import key_of
from drtool.sources.mongodb.loading import split_documents
from drtool.sources.mongodb.view import MongoView
from drtool.sources.reading import WHOLE, Changes
from tests.sources.contract import rule_of
from tests.sources.mongo import Document, source_of

PER_GROUP = 3


def key(value: object) -> bytes:
    """The record key of a value."""
    return key_of(bson.encode({"_id": value}))


@dataclass
class HandMade:
    """A base with these first keys, a few chunks to a group; remembers which groups were asked for."""

    keys: Sequence[bytes]
    asked: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, *values: object) -> HandMade:
        """With these ids as first ones."""
        return cls([key(value) for value in values])

    def firsts(self) -> Sequence[bytes]:
        """See ``Base.firsts``."""
        return self.keys[::PER_GROUP]

    def bounds(self, group: int) -> Sequence[bytes]:
        """See ``Base.bounds``."""
        self.asked.append(group)
        return self.keys[group * PER_GROUP : (group + 1) * PER_GROUP]


def touched(changes: Changes, name: str) -> set[int]:
    """The numbers of the touched chunks of a hand-made base; nothing may need a full read."""
    assert not changes.full_because
    assert not changes.full
    groups = changes.touched.get(name, {})
    return {group * PER_GROUP + chunk for group, chunks in groups.items() for chunk in chunks}


@contextmanager
def frozen(uri: str, database: str, *others: str) -> Iterator[MongoView]:
    """A view of these databases."""
    with closing(source_of(uri, database, *others).prepare(None)) as prepared, closing(prepared.freeze()) as view:
        yield view


def point(uri: str, database: str) -> Document:
    """An instant now."""
    with frozen(uri, database) as view:
        return dict(view.point)


def changes_since(uri: str, since: Mapping[str, object], bases: Mapping[str, HandMade]) -> Changes:
    """What changed until now in the streams of these names."""
    databases = {name.partition(".")[0] for name in bases}
    with frozen(uri, *databases) as view:
        return view.changes(since, bases)


def records(view: MongoView, name: str) -> dict[bytes, bytes]:
    """The documents of a stream by record key."""
    stream = next(stream for stream in view.streams() if stream.name == name)
    chunks = view.chunks(stream, WHOLE, rule_of(stream))
    return {key_of(each): each for chunk in chunks for each in split_documents(chunk.data)}
