"""Views, which the log knows as documents of ``system.views``. They are made at the end."""

from __future__ import annotations

from drtool.errors import SourceError
from drtool.sources.mongodb.names import BUCKETS, split
from drtool.sources.mongodb.oplog.entries import Operation
from drtool.sources.mongodb.oplog.replaying.naming import Naming
from drtool.sources.mongodb.oplog.replaying.state import State, View

COLLECTION = "system.views"


def follow(state: State, naming: Naming, operation: Operation) -> View | None:
    """An operation on ``system.views``. Returns the view that it makes, if it does.

    The one that a time series has comes and goes with its buckets.
    """
    document = operation.decoded()
    if operation.op == "d":
        state.views.pop(str(document["_id"]), None)
        return None
    if operation.op == "u" and "$v" in document:
        raise SourceError(f"the oplog changes a view of {split(operation.ns)[0]} in a way that is not known")
    source = str(document.pop("_id"))
    if str(document["viewOn"]).startswith(BUCKETS):
        return None
    known = state.views.get(source)
    if known is not None:
        known.options = document
        return None
    name = naming.of(source)
    if name is None:
        return None
    return View(source, name, document)


def drop_all(state: State, database: str) -> None:
    """All views of a database of the source went."""
    for source in [each for each in state.views if split(each)[0] == database]:
        del state.views[source]
