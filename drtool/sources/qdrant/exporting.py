"""Collections as Parquet files."""

from __future__ import annotations

from collections.abc import Mapping

from drtool.sources.exporting import Exporter, ExportPlace
from drtool.sources.qdrant.definitions import Definition
from drtool.sources.qdrant.points import PAYLOAD
from drtool.sources.reading import StreamInfo
from drtool.sources.vectors.exporting import ParquetExporter, Shape, VectorKind

_METRICS: Mapping[str, str] = {"Cosine": "cosine", "Euclid": "l2", "Dot": "ip"}


def exporter(place: ExportPlace) -> Exporter:
    """See ``Source.exporter``."""
    return ParquetExporter(place, "qdrant", shape)


def shape(stream: StreamInfo) -> Shape:
    """A collection's columns: its vectors, and the fields of the payload."""
    definition = Definition.decode(stream.definition)
    kinds = {
        name: VectorKind.OTHER if params.get("multivector_config") else VectorKind.DENSE
        for name, params in definition.vectors.items()
    }
    kinds |= dict.fromkeys(definition.sparse, VectorKind.SPARSE)
    first = next((name for name, kind in sorted(kinds.items()) if kind is VectorKind.DENSE), None)
    params = definition.vectors[first] if first is not None else {}
    metric = str(params.get("distance", ""))
    return Shape(kinds, _METRICS.get(metric, metric), int(params.get("size", -1)), frozenset({PAYLOAD}))
