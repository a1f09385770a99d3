"""The index catalogue: which indexes there are to be, followed through the log. They are built at the end.

``applyOps`` takes no index commands, and records are written faster without indexes. Of a time series the log names the
fields of its buckets; the catalogue, and whoever builds, those of its measurements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from drtool.errors import SourceError
from drtool.sources.mongodb.connection import Document
from drtool.sources.mongodb.definitions import Kind
from drtool.sources.mongodb.oplog.replaying.state import Tracked

_BOUNDS = ("control.min.", "control.max.")


def create(tracked: Tracked, specs: Iterable[Document]) -> None:
    """They are there; the one of ``_id`` comes with the collection."""
    for spec in specs:
        spec.pop("ns", None)
        if spec["name"] != "_id_":
            tracked.indexes[str(spec["name"])] = _of_measurements(tracked, spec)


def drop(tracked: Tracked, names: object) -> None:
    """One by name, several, or all (``*``)."""
    if names == "*":
        tracked.indexes.clear()
        return
    for name in names if isinstance(names, list) else [names]:
        tracked.indexes.pop(str(name), None)


def modify(tracked: Tracked, change: Document) -> None:
    """What ``collMod`` does to one. ``SourceError`` for what this version does not know."""
    spec = tracked.indexes.get(str(change.get("name")))
    if spec is None:
        return
    for option, value in change.items():
        if option in ("name", "keyPattern"):
            continue
        if option not in ("expireAfterSeconds", "hidden", "prepareUnique", "unique"):
            raise SourceError(f"the oplog changes an index of {tracked.source} in a way that is not known: {option}")
        if value is False:
            spec.pop(option, None)
        else:
            spec[option] = value
        if option == "unique":
            spec.pop("prepareUnique", None)


def _of_measurements(tracked: Tracked, spec: Document) -> Document:
    if tracked.kind is not Kind.TIMESERIES:
        return spec
    if "originalSpec" in spec:
        return {**spec["originalSpec"], **{key: spec[key] for key in ("hidden",) if key in spec}}
    return {**spec, "key": dict(_fields(tracked, spec["key"]))}


def _fields(tracked: Tracked, key: Document) -> Iterator[tuple[str, object]]:
    """Fields of buckets as those of measurements: a pair of bounds, the first of which tells the direction, is one."""
    series = tracked.options["timeseries"]
    seen: set[str] = set()
    for name, direction in key.items():
        bound = next((prefix for prefix in _BOUNDS if name.startswith(prefix)), None)
        if bound is not None:
            field = name.removeprefix(bound)
            if field not in seen:
                seen.add(field)
                yield field, direction
        elif name == "meta" or name.startswith("meta."):
            yield series["metaField"] + name.removeprefix("meta"), direction
        else:
            raise SourceError(
                f"the oplog creates an index on the time series {tracked.source} by {name}, which is none of its fields"
            )
