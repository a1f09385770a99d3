"""Where a signer's chains end: what its revocation pins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from drtool.errors import DamagedObjectError, DrtoolError, FormatVersionError, TamperedError, WrongKeyError
from drtool.repository.archive import open_segment
from drtool.repository.audit import CHAIN as AUDIT_CHAIN
from drtool.repository.chain import open_snapshot
from drtool.repository.evidence import CHAIN as EVIDENCE_CHAIN
from drtool.repository.evidence import EVIDENCE
from drtool.repository.linked import AUDIT, REMOVALS
from drtool.repository.manifests import SNAPSHOTS, object_hash
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.segments import OPLOG, revocation_chain
from drtool.repository.trust import chain_name
from drtool.repository.wire import decode_json

#: What is numbered over all that a signer wrote: kind and chain by the beginning of the name.
_LINKED = {
    EVIDENCE: (Kind.EVIDENCE, EVIDENCE_CHAIN),
    REMOVALS: (Kind.REMOVAL, "removals"),
    AUDIT: (Kind.AUDIT, AUDIT_CHAIN),
}


@dataclass(frozen=True, slots=True)
class Link:
    """One object of a chain. ``stored`` is when the store took it, by its own clock; ``hash`` its SHA-256 (hex)."""

    chain: str
    number: int
    hash: str
    name: str
    stored: datetime


@dataclass(frozen=True, slots=True)
class Links:
    """What a signer signed, in chains, and what could not be read: whose it is, nobody can tell."""

    found: tuple[Link, ...]
    problems: tuple[DrtoolError, ...]

    def ends(self, before: datetime | None = None) -> dict[str, Link]:
        """The last link of each chain; with `before`, of what the store had by then."""
        ends: dict[str, Link] = {}
        for link in sorted(self.found, key=lambda link: (link.number, link.stored), reverse=True):
            if before is None or link.stored < before:
                ends.setdefault(link.chain, link)
        return ends


def links_of(repository: Repository, signer: bytes) -> Links:
    """Everything numbered that `signer` (a public key) signed: manifests, segments, evidence, removals, audit."""
    found: list[Link] = []
    problems: list[DrtoolError] = []
    for prefix in (SNAPSHOTS, OPLOG, *_LINKED):
        listed = list(repository.storage.list(prefix))
        stored = {info.name: info.modified for info in listed}
        for name, data in repository.fetch(listed):
            if isinstance(data, DrtoolError):
                problems.append(data)
            elif data is not None:
                try:
                    found += _link(repository, signer, name, data, stored[name])
                except TamperedError:
                    continue  # somebody else's: what this signer has signed so far counts
                except (DamagedObjectError, FormatVersionError, WrongKeyError) as error:
                    problems.append(error.about(name))
    return Links(tuple(found), tuple(problems))


def _link(repository: Repository, signer: bytes, name: str, data: bytes, stored: datetime) -> Iterator[Link]:
    public, chain, number = _place(repository, name, data)
    if public == signer:
        yield Link(chain, number, object_hash(data), name, stored)


def _place(repository: Repository, name: str, data: bytes) -> tuple[bytes, str, int]:
    """Signer, chain and number of an object, checked by itself."""
    if name.startswith(SNAPSHOTS):
        snapshot = open_snapshot(repository, name, data)
        manifest = snapshot.manifest
        return snapshot.signer, chain_name(manifest.repository, manifest.job), manifest.number
    if name.startswith(OPLOG):
        archived = open_segment(repository, name, data)
        segment = archived.segment
        return archived.signer, revocation_chain(segment.source_id, segment.timeline), segment.number
    kind, chain = next(place for prefix, place in _LINKED.items() if name.startswith(prefix))
    opened = repository.open_object(kind, name, data)
    try:
        return opened.signer, chain, int(decode_json(opened.payload, name)["number"])
    except (KeyError, ValueError, TypeError) as error:
        raise DamagedObjectError(f"{name} lacks its number") from error
