"""The points of local mode: pickles of qdrant-client's models, read without running what they could hold.

A pickle can name any function of Python. Here only plain values come through, and the two models that points consist
of, as dictionaries of their fields; the package itself is not imported.
"""

from __future__ import annotations

import base64
import binascii
import io
import pickle
from typing import Any
from uuid import UUID

from drtool.errors import SourceError
from drtool.sources.qdrant.points import Point, PointId, Sparse, Vector
from drtool.sources.vectors.records import UNNAMED

_MODELS = ("qdrant_client.http.models.models", "qdrant_client.http.models")


class _Model:
    """Stands for a model: holds what pydantic pickles of it."""

    fields: dict[str, Any]

    def __setstate__(self, state: Any) -> None:
        self.fields = dict(state["__dict__"])


class _PointStruct(_Model):
    pass


class _SparseVector(_Model):
    pass


class _Reader(pickle.Unpickler):
    """Knows the models by name, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        found = {"PointStruct": _PointStruct, "SparseVector": _SparseVector}.get(name)
        if found is None or module not in _MODELS:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a point")
        return found


def read_id(key: str) -> PointId:
    """The id of a row, from its key. ``SourceError`` where it is none."""
    try:
        return _id(_load(base64.b64decode(key, validate=True)))
    except binascii.Error as error:
        raise SourceError(f"a key of local mode cannot be read: {error}") from error


def read_point(data: bytes) -> Point:
    """A point. ``SourceError`` where it is none."""
    found = _load(data)
    if not isinstance(found, _PointStruct):
        raise SourceError("a row of local mode holds no point")
    fields = found.fields
    vectors = fields.get("vector") or {}
    named = vectors if isinstance(vectors, dict) else {UNNAMED: vectors}
    return Point(
        _id(fields["id"]), fields.get("payload") or {}, {name: _vector(value) for name, value in named.items()}
    )


def _load(data: bytes) -> Any:
    try:
        return _Reader(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise SourceError(f"a point of local mode cannot be read: {error}") from error


def _id(value: Any) -> PointId:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise SourceError(f"{value!r} is no id of a point") from error


def _vector(value: Any) -> Vector:
    if isinstance(value, _SparseVector):
        return Sparse(value.fields["indices"], value.fields["values"])
    if not isinstance(value, list):
        raise SourceError("a vector of local mode is neither a list nor a sparse one")
    return value
