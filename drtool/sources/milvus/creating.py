"""Making a collection like another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drtool.sources.extras import require
from drtool.sources.milvus.connection import EXTRA
from drtool.sources.milvus.definitions import Definition

#: Without it a server takes no ids for a collection that makes its own.
_TAKES_IDS = "allow_insert_auto_id"
_TYPED = ("type", "element_type")
_GIVEN = ("name", "params", *_TYPED)


def create(client: Any, name: str, definition: Definition, *, lite: bool) -> None:
    """A collection without records and indexes, with its partitions. Raises the client's errors."""
    values = definition.values
    options: dict[str, Any] = {}
    if not lite:
        properties = dict(values["properties"])
        if values["auto_id"]:
            properties[_TAKES_IDS] = "true"
        options = {"num_shards": values["num_shards"], "properties": properties}
    if definition.keyed_by is not None:
        options["num_partitions"] = values["num_partitions"]
    consistency = values["consistency_level"]
    if consistency:
        options["consistency_level"] = consistency
    client.create_collection(name, schema=_schema(client, definition), **options)
    for partition in definition.partitions:
        client.create_partition(name, partition)


def create_indexes(client: Any, name: str, definition: Definition) -> None:
    """All indexes, built when this returns. Raises the client's errors."""
    for index in definition.indexes:
        params = client.prepare_index_params()
        params.add_index(
            field_name=index["field_name"],
            index_type=index["index_type"],
            index_name=index["index_name"],
            **({"metric_type": index["metric_type"]} if index["metric_type"] else {}),
            params=dict(index["params"]),
        )
        client.create_index(name, params)


def _schema(client: Any, definition: Definition) -> Any:
    pymilvus = require("pymilvus", EXTRA)
    values = definition.values
    schema = client.create_schema(
        auto_id=values["auto_id"],
        enable_dynamic_field=values["enable_dynamic_field"],
        description=values["description"],
    )
    for field in definition.fields:
        schema.add_field(field["name"], pymilvus.DataType[field["type"]], **_options(pymilvus, field))
    for function in values["functions"]:
        options = {**function, "function_type": pymilvus.FunctionType[function["type"]]}
        schema.add_function(pymilvus.Function(**{key: value for key, value in options.items() if key != "type"}))
    return schema


def _options(pymilvus: Any, field: Mapping[str, Any]) -> dict[str, Any]:
    options = {key: value for key, value in field.items() if key not in (*_GIVEN, "is_function_output", "is_dynamic")}
    if "element_type" in field:
        options["element_type"] = pymilvus.DataType[field["element_type"]]
    return {**options, **field.get("params", {})}
