"""``edge_config.json`` of an embedded shard, and a collection's configuration as the REST interface has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What the engine takes for an HNSW index of which not everything is said
#: (https://qdrant.tech/documentation/guides/configuration/, ``storage.hnsw_index``).
_HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000, "max_indexing_threads": 0}
_OPTIMIZERS = (
    "deleted_threshold",
    "vacuum_min_vector_number",
    "default_segment_number",
    "max_segment_size",
    "indexing_threshold",
    "prevent_unoptimized",
)
#: Of the same name and form in both.
_SAME = ("on_disk_payload", "quantization_config", "wal_enabled", "payload_memory", "id_tracker_memory")
_DENSE = ("size", "distance", "on_disk", "datatype", "multivector_config", "quantization_config", "memory")
_INDEX = ("full_scan_threshold", "on_disk", "datatype", "memory")


def to_file(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the engine keeps of a configuration, in its own form. An HNSW index is told in full."""
    hnsw = config.get("hnsw_config")
    made: dict[str, Any] = {name: config[name] for name in _SAME if name in config}
    made["vectors"] = {name: _dense(params, hnsw or {}) for name, params in config.get("vectors", {}).items()}
    made["sparse_vectors"] = {
        name: {
            **{key: value for key, value in params.get("index", {}).items() if key in _INDEX},
            **({"modifier": params["modifier"]} if params.get("modifier", "none") != "none" else {}),
        }
        for name, params in config.get("sparse_vectors", {}).items()
    }
    if hnsw:
        made["hnsw_config"] = {**_HNSW, **hnsw}
    optimizers = {name: value for name, value in config.get("optimizers_config", {}).items() if name in _OPTIMIZERS}
    if optimizers:
        made["optimizers"] = optimizers
    return made


def from_file(found: Mapping[str, Any]) -> dict[str, Any]:
    """The REST interface's form of what was read, without nulls."""
    config: dict[str, Any] = {name: found[name] for name in _SAME if name in found}
    config["vectors"] = dict(found.get("vectors", {}))
    sparse = {name: _sparse(params) for name, params in found.get("sparse_vectors", {}).items()}
    if sparse:
        config["sparse_vectors"] = sparse
    if "hnsw_config" in found:
        config["hnsw_config"] = found["hnsw_config"]
    if found.get("optimizers"):
        config["optimizers_config"] = found["optimizers"]
    return config


def _dense(params: Mapping[str, Any], hnsw: Mapping[str, Any]) -> dict[str, Any]:
    made = {name: params[name] for name in _DENSE if name in params}
    if params.get("hnsw_config"):
        made["hnsw_config"] = {**_HNSW, **hnsw, **params["hnsw_config"]}
    return made


def _sparse(params: Mapping[str, Any]) -> dict[str, Any]:
    index = {key: value for key, value in params.items() if key in _INDEX}
    return {
        **({"index": index} if index else {}),
        **({"modifier": params["modifier"]} if "modifier" in params else {}),
    }
