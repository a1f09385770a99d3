"""The definition of a collection, as JSON: what makes its like again, and what is compared after a restore."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drtool.errors import SourceError
from drtool.sources.chroma.engine import Found
from drtool.sources.reading import StreamInfo
from drtool.sources.vectors.exporting import Shape, VectorKind
from drtool.sources.vectors.records import UNNAMED, VECTORS

_EMBEDDING = "#embedding"


@dataclass(frozen=True, slots=True)
class Definition:
    """``schema`` says everything of the indexes, ``configuration`` less; ``dimension`` is None for an empty collection.
    ``space`` is the metric: ``l2``, ``cosine`` or ``ip``."""

    schema: Mapping[str, Any]
    configuration: Mapping[str, Any]
    metadata: Mapping[str, Any] | None
    dimension: int | None
    space: str

    @classmethod
    def of(cls, found: Found, count: int) -> Definition:
        """A collection's, of so many items. The dimension outlives the last item, and cannot be given back then."""
        dimension = found.dimension if count else None
        return cls(found.schema, found.configuration, found.metadata, dimension, _space(found))

    @classmethod
    def decode(cls, data: bytes) -> Definition:
        """``SourceError`` where it is none."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError) as error:
            raise SourceError(f"the definition of a collection cannot be read: {error}") from error

    def encode(self) -> bytes:
        """For a manifest."""
        return _json(self.described())

    def described(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "schema": self.schema,
            "configuration": self.configuration,
            "metadata": self.metadata,
            "dimension": self.dimension,
            "space": self.space,
        }


def of_vectors(definition: Definition) -> bytes:
    """The definition of the stream of a collection's vectors."""
    return _json({"space": definition.space, "dimension": definition.dimension})


def describe(definition: bytes) -> Mapping[str, Any]:
    """See ``Source.describe``."""
    found: Mapping[str, Any] = json.loads(definition)
    return found


def differences(expected: bytes, actual: bytes) -> Sequence[str]:
    """See ``Source.differences``. The dimension is that of the vectors, which are compared; of a collection that was
    filled or emptied while a server was read, it was noted before."""
    wanted, found = describe(expected), describe(actual)
    return [
        f"{name} is {_json(found.get(name)).decode()}, and was {_json(wanted.get(name)).decode()}"
        for name in sorted({*wanted, *found} - {"dimension"})
        if wanted.get(name) != found.get(name)
    ]


def shape(stream: StreamInfo) -> Shape:
    """See ``ParquetExporter``."""
    definition = Definition.decode(stream.definition)
    return Shape(
        vectors={UNNAMED: VectorKind.DENSE},
        metric=definition.space,
        dimensions=definition.dimension or -1,
        spread=frozenset({"metadata"}),
    )


def space_of(stream: StreamInfo) -> str:
    """The metric of a collection by either of its streams."""
    return str(describe(stream.definition)["space"])


def is_vectors(stream: StreamInfo) -> bool:
    """Is it the stream of a collection's vectors?"""
    return stream.name.endswith(VECTORS)


def _space(found: Found) -> str:
    for index in (
        _at(found.schema, "keys", _EMBEDDING, "float_list", "vector_index", "config"),
        _at(found.schema, "defaults", "float_list", "vector_index", "config"),
        _at(found.configuration, "hnsw"),
        _at(found.configuration, "spann"),
    ):
        if isinstance(index, Mapping) and index.get("space"):
            return str(index["space"])
    return "l2"


def _at(value: Any, *path: str) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
