"""The definition of a collection, in the words of the server's REST interface ("Create collection").

https://api.qdrant.tech/api-reference/collections/create-collection. Settings that are not given are left out, for what
the engine takes for them then is the engine's own choice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from drtool.errors import SourceError
from drtool.sources.qdrant import edge_config
from drtool.sources.qdrant.addresses import Kind
from drtool.sources.vectors.records import UNNAMED

#: What local mode keeps of a configuration, and of the parameters of a vector.
_LOCAL = ("vectors", "sparse_vectors", "metadata")


@dataclass(frozen=True, slots=True)
class Definition:
    """``engine`` is where it was read. ``config`` is what creates the collection: ``vectors`` by name,
    ``sparse_vectors``, ``hnsw_config`` and so on; ``indexes`` are payload fields with their schema; ``aliases`` are
    other names; ``indexed`` is whether its vectors have an index, for an embedded engine builds none unasked."""

    engine: Kind
    config: Mapping[str, Any]
    indexes: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    indexed: bool = True

    def encode(self) -> bytes:
        """For a manifest."""
        return json.dumps(
            {
                "engine": self.engine,
                "config": self.config,
                "indexes": self.indexes,
                "aliases": sorted(self.aliases),
                **({} if self.indexed else {"indexed": False}),
            },
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Definition:
        """``SourceError`` where it is none."""
        try:
            found = json.loads(data)
            indexed = bool(found.get("indexed", True))
            return cls(Kind(found["engine"]), found["config"], found["indexes"], tuple(found["aliases"]), indexed)
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(f"the definition of a collection cannot be read: {error}") from error

    @property
    def vectors(self) -> Mapping[str, Mapping[str, Any]]:
        """The parameters of the dense vectors (and multivectors) by name."""
        found: Mapping[str, Mapping[str, Any]] = self.config.get("vectors", {})
        return found

    @property
    def sparse(self) -> Sequence[str]:
        """The names of the sparse vectors."""
        return sorted(self.config.get("sparse_vectors", {}))

    @property
    def sizes(self) -> Mapping[str, int]:
        """The dimensions of the dense vectors."""
        return {name: int(one["size"]) for name, one in self.vectors.items()}

    def of_vectors(self) -> Definition:
        """What the stream of vectors has to say for itself."""
        return Definition(self.engine, {"vectors": self.vectors})

    def kept_by(self, engine: Kind) -> Definition:
        """As it is read back from an engine that has been given it."""
        if engine is Kind.EDGE:
            config = edge_config.from_file(edge_config.to_file(self.config))
            return replace(self, engine=engine, config=config, aliases=())
        if engine is Kind.LOCAL:
            config = {name: value for name, value in self.config.items() if name in _LOCAL}
            scored = {name: schema for name, schema in self.indexes.items() if _is_scored(schema)}
            return replace(self, engine=engine, config=config, indexes=scored)
        return self


def plain(value: Any) -> Any:
    """Without what is not set (null), at every depth; but a user's metadata stays as it is."""
    if isinstance(value, Mapping):
        return {name: each if name == "metadata" else plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def by_name(vectors: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The parameters of vectors by name, where an interface gives those of the only one bare."""
    found: Mapping[str, Any] = plain(vectors or {})
    return {UNNAMED: found} if "size" in found and not isinstance(found["size"], Mapping) else found


def differences(expected: bytes, actual: bytes) -> list[str]:
    """In what the definition of a restored collection differs, of all that its engine keeps. Another engine than the
    snapshot's may have settings besides."""
    found = Definition.decode(actual)
    wanted = Definition.decode(expected)
    alike = _within if wanted.engine is not found.engine else _equal
    wanted, found = wanted.kept_by(found.engine), found.kept_by(found.engine)
    pairs = [("", wanted.config, found.config), ("the index on ", wanted.indexes, found.indexes)]
    told = [
        _told(what + key, one.get(key), other.get(key))
        for what, one, other in pairs
        for key in sorted({*one, *other} if alike is _equal else one)
        if not alike(one.get(key), other.get(key))
    ]
    if sorted(wanted.aliases) != sorted(found.aliases):
        told.append(_told("aliases", sorted(wanted.aliases), sorted(found.aliases)))
    return told


def describe(definition: bytes) -> Mapping[str, Any]:
    """For ``show``."""
    found = Definition.decode(definition)
    return {**found.config, "payload_indexes": found.indexes, "aliases": list(found.aliases), "engine": found.engine}


def _equal(wanted: Any, found: Any) -> bool:
    return bool(wanted == found)


def _within(wanted: Any, found: Any) -> bool:
    """Is everything wanted there? What is switched on (true) may be told in detail."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(_within(value, found.get(name)) for name, value in wanted.items())
    if wanted is True and isinstance(found, Mapping):
        return True
    return bool(wanted == found)


def _told(what: str, wanted: Any, found: Any) -> str:
    return f"{what}: {_json(found)} instead of {_json(wanted)}"


def _json(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, sort_keys=True)


def _is_scored(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "text" and bool(schema.get("scoring"))
