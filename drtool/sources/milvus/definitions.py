"""What a collection is: schema, indexes, partitions, aliases. JSON with sorted keys."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drtool.errors import SourceError

#: Fields that hold vectors, by type, and how they are kept.
DENSE = "FLOAT_VECTOR"
SPARSE = "SPARSE_FLOAT_VECTOR"
PACKED = frozenset({"FLOAT16_VECTOR", "BFLOAT16_VECTOR", "BINARY_VECTOR", "INT8_VECTOR"})
VECTORS = PACKED | {DENSE, SPARSE}
JSON_FIELD = "JSON"
SCALARS = frozenset(
    {"BOOL", "INT8", "INT16", "INT32", "INT64", "FLOAT", "DOUBLE", "VARCHAR", "TEXT", "ARRAY", JSON_FIELD}
    | {"GEOMETRY", "TIMESTAMPTZ"}
)
#: Of what an array may not be: of records with fields of their own.
_STRUCT = "STRUCT"
#: What an index's description says of its progress, not of the index.
_PROGRESS = {"total_rows", "indexed_rows", "pending_index_rows", "state", "min_index_version", "max_index_version"}
_OF_INDEX = {"index_type", "metric_type", "field_name", "index_name"}
#: What Milvus Lite does not keep of a collection.
_NOT_IN_LITE = ("consistency_level", "num_shards", "properties")
DEFAULT_PARTITION = "_default"


@dataclass(frozen=True, slots=True)
class Definition:
    """A collection as JSON values (docs/format.md, "Milvus collections").

    ``lite`` tells which kind of Milvus described it. ``aliases`` None: they were left out on purpose.
    """

    values: Mapping[str, Any]

    @property
    def fields(self) -> Sequence[Mapping[str, Any]]:
        """The schema's fields."""
        found: Sequence[Mapping[str, Any]] = self.values["fields"]
        return found

    @property
    def primary(self) -> Mapping[str, Any]:
        """The field of the ids."""
        return next(field for field in self.fields if field.get("is_primary"))

    @property
    def stored(self) -> Sequence[Mapping[str, Any]]:
        """The fields that an insert gives: not those that the server computes."""
        return [field for field in self.fields if not field.get("is_function_output")]

    @property
    def partitions(self) -> Sequence[str]:
        """The partitions that somebody named: none where a key decides."""
        return [] if self.keyed_by else [name for name in self.values["partitions"] if name != DEFAULT_PARTITION]

    @property
    def keyed_by(self) -> str | None:
        """The field whose value decides on the partition."""
        return next((str(field["name"]) for field in self.fields if field.get("is_partition_key")), None)

    @property
    def indexes(self) -> Sequence[Mapping[str, Any]]:
        """The indexes."""
        found: Sequence[Mapping[str, Any]] = self.values["indexes"]
        return found

    def encode(self) -> bytes:
        """As a stream's definition."""
        return json.dumps(self.values, sort_keys=True).encode()

    @classmethod
    def decode(cls, data: bytes) -> Definition:
        """From a stream's definition."""
        try:
            values = json.loads(data)
            assert isinstance(values["fields"], list)
            return cls(values)
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise SourceError(f"the definition of a collection cannot be read: {error!r}") from error

    def without_aliases(self) -> Definition:
        """The same, of a collection whose aliases stayed where they were."""
        return Definition({**self.values, "aliases": None})


def describe(client: Any, name: str, *, lite: bool) -> Definition:
    """A collection as its Milvus tells it. ``SourceError`` for fields of types that cannot be kept. Raises the client's
    errors."""
    told = client.describe_collection(name)
    fields = [_field(field, name) for field in told["fields"]]
    indexes = [_index(client.describe_index(name, index)) for index in client.list_indexes(name)]
    return Definition(
        {
            "lite": lite,
            "fields": fields,
            "description": told.get("description", ""),
            "auto_id": bool(told.get("auto_id")),
            "enable_dynamic_field": bool(told.get("enable_dynamic_field")),
            "functions": [_function(each) for each in told.get("functions", ())],
            "consistency_level": told.get("consistency_level_name", ""),
            "num_shards": told.get("num_shards", 1),
            "properties": dict(told.get("properties") or {}),
            "num_partitions": told.get("num_partitions", 1),
            "partitions": sorted(client.list_partitions(name)),
            "aliases": sorted(client.list_aliases(name).get("aliases", ())),
            "indexes": sorted(indexes, key=lambda index: str(index["field_name"])),
        }
    )


def differences(expected: bytes, actual: bytes) -> Sequence[str]:
    """See ``Source.differences``. Of what Milvus Lite does not keep, only what it has is compared."""
    return list(_differences(Definition.decode(expected), Definition.decode(actual)))


def _differences(wanted: Definition, found: Definition) -> Iterator[str]:
    lite = bool(found.values["lite"])
    left_out = {"lite", "indexes", *(_NOT_IN_LITE if lite else ())}
    left_out |= {"aliases"} if None in (wanted.values["aliases"], found.values["aliases"]) else set()
    for key, value in wanted.values.items():
        if key not in left_out and found.values.get(key) != value:
            yield f"its {key.replace('_', ' ')} differ: {_short(found.values.get(key))} instead of {_short(value)}"
    there = {index["field_name"]: index for index in found.indexes}
    for index in wanted.indexes:
        other = there.pop(index["field_name"], None)
        if other is None:
            yield f"the index on {index['field_name']} is missing"
        elif any(other[key] != index[key] for key in ("index_type", "metric_type")) or not (
            lite or (other["index_name"], other["params"]) == (index["index_name"], index["params"])
        ):
            yield f"the index on {index['field_name']} differs: {_short(other)} instead of {_short(index)}"
    yield from (f"the index on {name} is one too many" for name in there)


def _field(told: Mapping[str, Any], collection: str) -> dict[str, Any]:
    field = {key: value for key, value in told.items() if key not in {"field_id", "type", "element_type"}}
    field["type"] = told["type"].name
    if told.get("element_type"):
        field["element_type"] = getattr(told["element_type"], "name", told["element_type"])
    if "default_value" in told:
        field["default_value"] = _plain(told["default_value"])
    if field["type"] not in VECTORS | SCALARS or field.get("element_type") == _STRUCT:
        kind = f"{field['type']} of {_STRUCT}" if field["type"] in SCALARS else field["type"]
        raise SourceError(
            f"collection {collection} cannot be backed up: its field {told['name']} is of type {kind}",
            hint="Leave it out with exclude.",
        )
    return field


def _plain(value: Any) -> Any:
    """A default value, which the client leaves as a message with one of several fields."""
    which = value.WhichOneof("data") if hasattr(value, "WhichOneof") else None
    return getattr(value, which) if which else None if hasattr(value, "WhichOneof") else value


def _index(told: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in told.items() if key not in _PROGRESS | _OF_INDEX and value is not None}
    params = rest.pop("params", {})
    return {
        **{key: told.get(key, "") for key in sorted(_OF_INDEX)},
        "params": {**rest, **(params if isinstance(params, dict) else {"params": params})},
    }


def _function(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": told["name"],
        "description": told.get("description", ""),
        "type": told["type"].name,
        "input_field_names": list(told["input_field_names"]),
        "output_field_names": list(told["output_field_names"]),
        "params": dict(told.get("params") or {}),
    }


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 80 else f"{text[:79]}…"
