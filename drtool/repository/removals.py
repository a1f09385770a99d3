"""Announcing what retention removes, before it goes (docs/format.md, "Payloads": removal)."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from drtool.errors import DrtoolError
from drtool.repository.archive import Archived
from drtool.repository.chain import ChainKey, Snapshot, follow_removals
from drtool.repository.evidence import EVIDENCE
from drtool.repository.ids import new_id
from drtool.repository.linked import REMOVALS, Link, end_of, saw
from drtool.repository.manifests import SNAPSHOTS
from drtool.repository.primitives import SigningKey
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.trust import utc_now
from drtool.repository.wire import encode_json

#: The lease that whoever announces holds: two of one signer at once would claim one number.
LEASE = "retention"
#: How many objects one announcement names at most: it must stay far below 16 MiB.
MOST_NAMED = 20_000


@dataclass(frozen=True, slots=True)
class Finding:
    """A piece of evidence: id, and hash of its object (hex)."""

    id: str
    hash: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A snapshot that is gone though nobody removed it, by its place in a chain; id and hash are "" where nothing tells
    them."""

    chain: ChainKey
    number: int
    snapshot: str = ""
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to be removed together; or what is ``lost``, which is only put on record."""

    snapshots: tuple[Snapshot, ...] = ()
    evidence: tuple[Finding, ...] = ()
    segments: tuple[Archived, ...] = ()
    lost: tuple[Lost, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.snapshots or self.evidence or self.segments)

    def names(self) -> list[str]:
        """The objects, in the order in which they go."""
        found = [one.manifest.name for one in self.snapshots]
        found += [EVIDENCE + one.id for one in self.evidence]
        return found + [one.segment.name for one in self.segments]

    def parts(self) -> Iterator[Removal]:
        """The same in announcements of bearable size: one, but for a great many objects."""
        start = 0
        while rest := self._from(start, MOST_NAMED):
            yield rest
            start += MOST_NAMED

    def _from(self, start: int, most: int) -> Removal:
        kinds: list[tuple[Any, ...]] = []
        for objects in (self.snapshots, self.evidence, self.segments):
            kinds.append(objects[max(start, 0) : max(start + most, 0)])
            start -= len(objects)
        return Removal(*kinds)


@dataclass(slots=True)
class Announced:
    """Everything that was ever announced, by object name with its hash; the hashes of the plans that it was announced
    by; and what is wrong with announcements."""

    hashes: dict[str, str] = field(default_factory=dict)
    plans: set[str] = field(default_factory=set)
    problems: list[DrtoolError] = field(default_factory=list)


def read_announced(repository: Repository) -> Announced:
    """All announcements of the repository."""
    found = Announced()

    def take(fields: Mapping[str, Any]) -> None:
        # What is only on record as lost is not to be removed should it be found again.
        removed = [entry for entry in fields["snapshots"] if entry.get("lost") is not True]
        named = {SNAPSHOTS + str(entry["snapshot"]): str(entry["hash"]) for entry in removed}
        named |= {EVIDENCE + str(entry["evidence"]): str(entry["hash"]) for entry in fields.get("evidence", ())}
        named |= {str(entry["segment"]): str(entry["hash"]) for entry in fields.get("segments", ())}
        found.hashes.update(named)
        found.plans.add(str(fields.get("plan", "")))

    follow_removals(repository, take, found.problems)
    return found


def announce(repository: Repository, removal: Removal, signer: SigningKey, plan: str = "") -> str:
    """Say what is going to be removed; returns the announcement's name. `signer` must be a maintainer.

    `plan` is the hash of the plan that asked for it.
    """
    links = follow_removals(repository, lambda _fields: None, [])
    number, previous = end_of(repository, REMOVALS, signer.public, links)
    id_ = new_id()
    name = REMOVALS + id_
    fields = {
        "format": 1,
        "removal": id_,
        "number": number + 1,
        "previous": previous,
        "at": utc_now(),
        "host": socket.gethostname(),
        "snapshots": [*map(_snapshot, removal.snapshots), *map(_lost, removal.lost)],
        "segments": [_segment(one) for one in removal.segments],
        "evidence": [{"evidence": one.id, "hash": one.hash} for one in removal.evidence],
        **({"plan": plan} if plan else {}),
    }
    data = repository.seal(Kind.REMOVAL, name, encode_json(fields), signer)
    repository.storage.put(name, data, if_absent=True)
    saw(repository, REMOVALS, Link.of(name, signer.public, data, fields))
    return name


def _snapshot(one: Snapshot) -> dict[str, Any]:
    manifest = one.manifest
    return {
        "snapshot": one.id,
        "repository": manifest.repository,
        "signer": one.signer.hex(),
        "job": manifest.job,
        "number": manifest.number,
        "hash": one.hash,
    }


def _lost(one: Lost) -> dict[str, Any]:
    origin, signer, job = one.chain
    return {
        "snapshot": one.snapshot,
        "repository": origin,
        "signer": signer,
        "job": job,
        "number": one.number,
        "hash": one.hash,
        "lost": True,
    }


def _segment(one: Archived) -> dict[str, Any]:
    return {"segment": one.segment.name, "hash": one.hash, "number": one.segment.number}
