"""The way to a Qdrant of each kind. Modules are imported here, when one is met."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from drtool.sources.base import Probe
from drtool.sources.qdrant.addresses import Address, Kind
from drtool.sources.qdrant.sandbox import engine_version
from drtool.sources.qdrant.shards import find_shards, has_lock, is_held
from drtool.sources.qdrant.stores import Reader, Selection, Writer
from drtool.sources.reading import Consistency

_TYPE = "qdrant"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_FUZZY = (
    "A server cannot be read at one instant, so the backup is fuzzy: points that change while it is read may be as"
    " before or as after. Pause what writes to it for an exact one."
)


def open_reader(address: Address, selection: Selection) -> Reader:
    """What is there now."""
    if address.kind is Kind.EDGE:
        from drtool.sources.qdrant.edge import copy_shards

        return copy_shards(address.directory, selection)
    if address.kind is Kind.LOCAL:
        from drtool.sources.qdrant.local import copy_local

        return copy_local(address.directory, selection)
    from drtool.sources.qdrant.server import ServerReader

    return ServerReader(address, selection)


def open_writer(address: Address) -> Writer:
    """To restore there. Connects to nothing."""
    if address.kind is Kind.EDGE:
        from drtool.sources.qdrant.edge_writing import EdgeWriter

        return EdgeWriter(address)
    if address.kind is Kind.LOCAL:
        from drtool.sources.qdrant.local_writing import LocalWriter

        return LocalWriter(address)
    from drtool.sources.qdrant.server_writing import ServerWriter

    return ServerWriter(address)


def probe(address: Address, selection: Selection) -> Probe:
    """See ``Source.probe``."""
    if address.kind is Kind.EDGE:
        shards = {name: path for name, path in find_shards(address.directory).items() if selection.takes(name)}
        held = [name for name, path in shards.items() if is_held(path)]
        loose = [name for name, path in shards.items() if not has_lock(path)]
        warnings = (
            *(
                f"{name}: another process has the shard open, and a backup needs it closed for a moment."
                for name in held
            ),
            *(f"{name}: the shard has no write-ahead log, so its backup is fuzzy; set wal_enabled." for name in loose),
            *missing(selection, list(shards)),
        )
        consistency = Consistency.FUZZY if loose else Consistency.EXACT
        return Probe(_TYPE, engine_version(Kind.EDGE), "embedded", "", consistency, warnings)
    if address.kind is Kind.LOCAL:
        from drtool.sources.qdrant.local import find_collections

        found = [name for name in find_collections(address.directory) if selection.takes(name)]
        warnings = missing(selection, found)
        return Probe(_TYPE, engine_version(Kind.LOCAL), "local-mode", "", Consistency.EXACT, warnings)
    from drtool.sources.qdrant.server import ServerReader

    reader = ServerReader(address, selection)
    try:
        version = reader.version()
        warnings = (_FUZZY, *_about_server(address, version), *missing(selection, reader.collections()))
        return Probe(_TYPE, version, reader.topology(), "", Consistency.FUZZY, warnings)
    finally:
        reader.close()


def _about_server(address: Address, version: str) -> Iterator[str]:
    client = engine_version(Kind.LOCAL)
    if _minor(version) > _minor(client):
        yield (
            f"The server is {version}, and qdrant-client {client} may not understand all that it has;"
            " install a newer one: pip install -U qdrant-client."
        )
    parts = urlsplit(address.where)
    if address.api_key is not None and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        yield "The API key goes over the network unencrypted; use https."


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def missing(selection: Selection, found: Sequence[str]) -> tuple[str, ...]:
    """What the configuration names and nothing answers to."""
    return tuple(
        f"The configuration names the collection {name}, and there is none." for name in selection.missing(found)
    )
