"""The snapshots of a repository, and whether their chains are whole (docs/format.md, "Chains")."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from drtool.errors import (
    DamagedObjectError,
    DrtoolError,
    FormatVersionError,
    MissingObjectError,
    NoSuchSnapshotError,
    RolledBackError,
    TamperedError,
    WrongKeyError,
)
from drtool.repository.contradicted import contradicted
from drtool.repository.going import going
from drtool.repository.linked import LINKED, REMOVALS, Link, check_links
from drtool.repository.manifests import SNAPSHOTS, Manifest, object_hash
from drtool.repository.repository import FETCHERS, Repository
from drtool.repository.sealed import Kind
from drtool.repository.segments import OPLOG
from drtool.repository.state import Head
from drtool.repository.trust import chain_name
from drtool.repository.wire import decode_json

ChainKey = tuple[str, str, str]
"""Repository of origin, signer, job: hex, hex, name."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A committed snapshot: its manifest, the public key that signed it, its object's hash (hex) and size (bytes)."""

    manifest: Manifest
    signer: bytes
    hash: str
    size: int

    @property
    def id(self) -> str:
        """The snapshot's id."""
        return self.manifest.snapshot

    @property
    def chain(self) -> ChainKey:
        """The chain that it belongs to."""
        return self.manifest.repository, self.signer.hex(), self.manifest.job

    @property
    def head(self) -> Head:
        """What a host remembers of it."""
        return Head(*self.chain, self.manifest.number, self.hash, self.id)


@dataclass(frozen=True)
class Catalogue:
    """All snapshots, oldest first, and what is wrong with them: an error for each object or chain.

    ``removed_evidence`` are the hashes of evidence whose removal was announced, ``removed`` those of snapshots, by
    chain and number. ``troubled`` are the chains that something is wrong with.
    """

    snapshots: tuple[Snapshot, ...]
    problems: tuple[DrtoolError, ...]
    removed_evidence: frozenset[str] = frozenset()
    removed: Removed = field(default_factory=dict)
    troubled: frozenset[ChainKey] = frozenset()

    def heads(self) -> dict[ChainKey, Snapshot]:
        """The newest snapshot of each chain."""
        return {s.chain: s for s in sorted(self.snapshots, key=lambda s: s.manifest.number)}

    def suspects(self) -> frozenset[str]:
        """The ids of those that may lack changes, as a later snapshot of their chain says."""
        return self._suspects

    @cached_property
    def _suspects(self) -> frozenset[str]:
        told: dict[ChainKey, set[tuple[int, int]]] = defaultdict(set)
        for snapshot in self.snapshots:
            told[snapshot.chain].update(snapshot.manifest.suspects)
        return frozenset(
            s.id for s in self.snapshots if any(low <= s.manifest.number <= high for low, high in told[s.chain])
        )

    def named(self, prefix: str) -> Snapshot:
        """The one snapshot whose id begins so; ``NoSuchSnapshotError`` for none or several."""
        found = [s for s in self.snapshots if s.id.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise NoSuchSnapshotError(f"no snapshot's id begins with {prefix!r}")
        raise NoSuchSnapshotError(
            f"{len(found)} snapshots begin with {prefix!r}", hint="Candidates: " + ", ".join(s.id for s in found[:5])
        )


def read_catalogue(repository: Repository) -> Catalogue:
    """Every manifest of the store, each checked by itself and in its chain.

    Remembers the heads of chains that are whole. Nothing is raised for a bad object: it is among the problems.
    """
    # Before the listing: what another process of this host commits meanwhile is not missed.
    heads = repository.state.heads()
    snapshots: list[Snapshot] = []
    problems: list[DrtoolError] = []
    for name, data in repository.listing(SNAPSHOTS):
        if isinstance(data, DrtoolError):
            problems.append(data)
            continue
        if data is None:
            continue
        try:
            snapshots.append(open_snapshot(repository, name, data))
        except (DamagedObjectError, FormatVersionError, TamperedError, WrongKeyError) as error:
            problems.append(error.about(name))
    # An id tells the second only; within one, the chain's own numbers do.
    snapshots.sort(key=lambda s: (s.id.rpartition("-")[0], s.manifest.number))
    announced = _announced(repository, heads, problems)
    removed = announced.of_chains(repository, snapshots)
    told = {s.manifest.name for s in snapshots if removed.get((s.chain, s.manifest.number)) == s.hash}
    leaving = going(repository, SNAPSHOTS, told)
    snapshots = [s for s in snapshots if s.manifest.name not in leaving]
    for forged, wrong in list(contradicted(repository.document, snapshots, removed)):
        snapshots.remove(forged)
        problems.append(wrong.about(forged.manifest.name))
    remembered = {(h.origin, h.signer, h.job): h for h in heads if not _is_other(h) and _counts(repository, h)}
    chains: dict[ChainKey, list[Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        chains[snapshot.chain].append(snapshot)
    troubled: set[ChainKey] = set()
    for key in sorted({*chains, *remembered}):
        found = list(_chain_problems(key, chains[key], removed, remembered.get(key), is_own=key[0] == repository.id))
        problems += found
        if found:
            troubled.add(key)
        elif chains[key]:
            repository.state.saw_heads([max(chains[key], key=lambda s: s.manifest.number).head])
    return Catalogue(tuple(snapshots), tuple(problems), frozenset(announced.evidence), removed, frozenset(troubled))


def _is_other(head: Head) -> bool:
    """Is it the head of something else than snapshots?"""
    return head.job.startswith(OPLOG) or head.job in LINKED


def _counts(repository: Repository, head: Head) -> bool:
    """Does it still count? What a signer wrote after the place where a revocation ends its chain is not missed."""
    chain = chain_name(head.origin, head.job)
    return repository.document.accepts(bytes.fromhex(head.signer), chain, head.number, head.hash)


def newest_first(repository: Repository) -> Iterator[Snapshot]:
    """The snapshots that can be read, each checked by itself only; a few manifests are read at a time, so that whoever
    looks for a recent one reads few."""
    listed = sorted(repository.storage.list(SNAPSHOTS), key=lambda info: info.name, reverse=True)
    for start in range(0, len(listed), FETCHERS):
        for name, data in repository.recall(listed[start : start + FETCHERS]):
            if not isinstance(data, bytes):
                continue
            try:
                snapshot = open_snapshot(repository, name, data)
            except (DamagedObjectError, FormatVersionError, TamperedError, WrongKeyError):
                continue
            yield snapshot


def open_snapshot(repository: Repository, name: str, data: bytes) -> Snapshot:
    """A manifest object of this name, checked by itself."""
    opened = repository.open_object(Kind.MANIFEST, name, data)
    manifest = Manifest.decode(opened.payload, name)
    hash_ = object_hash(data)
    chain = chain_name(manifest.repository, manifest.job)
    if not repository.document.accepts(opened.signer, chain, manifest.number, hash_):
        raise TamperedError(
            f"{name} was signed by {repository.document.name_of(opened.signer)} after its key had been revoked"
        )
    return Snapshot(manifest, opened.signer, hash_, len(data))


Removed = Mapping[tuple[ChainKey, int], str]
"""The hashes of the snapshots that retention removed, by chain and number."""


@dataclass(frozen=True, slots=True)
class _Announced:
    """What announcements name: snapshots by chain and number with their hashes, the hashes of evidence. ``lost`` are
    snapshots that nobody removed, of which it is on record that they are gone; their hashes may be unknown ("")."""

    removed: dict[tuple[ChainKey, int], str]
    evidence: set[str]
    lost: set[tuple[ChainKey, int]]

    def of_chains(self, repository: Repository, snapshots: Iterable[Snapshot]) -> Removed:
        """What is removed or lost, but for what was lost and has been found again."""
        removed = dict(self.removed)
        for snapshot in snapshots:
            place = snapshot.chain, snapshot.manifest.number
            # Whoever holds a revoked key could fill a place of which only the number is known.
            fits = {snapshot.hash} if repository.document.is_revoked(snapshot.signer) else {snapshot.hash, ""}
            if place in self.lost and removed.get(place) in fits:
                del removed[place]
        return removed


def _announced(repository: Repository, heads: Iterable[Head], problems: list[DrtoolError]) -> _Announced:
    found = _Announced({}, set(), set())

    def take(fields: Mapping[str, Any]) -> None:
        found.removed.update({_removal(entry): str(entry["hash"]) for entry in fields["snapshots"]})
        found.lost.update(_removal(entry) for entry in fields["snapshots"] if entry.get("lost") is True)
        found.evidence.update(str(entry["hash"]) for entry in fields.get("evidence", ()))

    problems += check_links(repository, REMOVALS, follow_removals(repository, take, problems), heads)
    return found


def follow_removals(
    repository: Repository, take: Callable[[Mapping[str, Any]], None], problems: list[DrtoolError]
) -> list[Link]:
    """Give `take` the fields of each announcement of what was removed; returns their places in their chains. What is
    damaged, forged, or lacks what `take` looks for, goes to `problems`."""
    links: list[Link] = []
    for name, data in repository.listing(REMOVALS):
        if isinstance(data, DrtoolError):
            problems.append(data)
            continue
        if data is None:
            continue
        try:
            opened = repository.open_object(Kind.REMOVAL, name, data)
            fields = decode_json(opened.payload, name)
            link = Link.of(name, opened.signer, data, fields)
            if not repository.document.accepts(opened.signer, "removals", link.number, link.hash):
                raise TamperedError(f"{name} was signed after its signer's key had been revoked")
            links.append(link)
            take(fields)
        except (DamagedObjectError, TamperedError, WrongKeyError) as error:
            problems.append(error.about(name))
        except (KeyError, ValueError, TypeError) as error:
            problems.append(DamagedObjectError(f"{name} lacks something: {error}").about(name))
    return links


def _removal(entry: Mapping[str, Any]) -> tuple[ChainKey, int]:
    return (str(entry["repository"]), str(entry["signer"]), str(entry["job"])), int(entry["number"])


def _chain_problems(
    key: ChainKey, snapshots: Iterable[Snapshot], removed: Removed, remembered: Head | None, *, is_own: bool
) -> Iterator[DrtoolError]:
    by_number: dict[int, list[Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        by_number[snapshot.manifest.number].append(snapshot)
    job = key[2]
    newest = max(by_number, default=0)
    if remembered is not None and remembered.number > newest and (key, remembered.number) not in removed:
        yield RolledBackError(
            f"job {job}: this host has seen snapshot {remembered.snapshot} (number {remembered.number}), which is gone"
            " without an announced removal"
        )
    elif remembered is not None and any(s.hash != remembered.hash for s in by_number.get(remembered.number, [])):
        yield TamperedError(f"job {job}: snapshot number {remembered.number} is not the one that this host has seen")
    known = {*by_number} | {number for chain, number in removed if chain == key}
    # What was copied here from elsewhere need not be all that was there.
    for first, last in holes(known, newest) if is_own else ():
        which = f"number {first} is" if first == last else f"numbers {first} to {last} are"
        yield MissingObjectError(f"job {job}: snapshot {which} gone without an announced removal")
    for number, found in sorted(by_number.items()):
        if len(found) > 1:
            ids = ", ".join(s.id for s in found)
            yield TamperedError(f"job {job}: {len(found)} snapshots claim number {number} of one chain: {ids}")
        before = {s.hash for s in by_number.get(number - 1, [])} | _hash_of(removed, key, number - 1)
        for snapshot in found:
            if (key, number) in removed:
                yield _back_again(snapshot, removed[key, number])
            previous = snapshot.manifest.previous
            if (before and previous not in before) or (number == 1) != (previous is None):
                yield TamperedError(f"snapshot {snapshot.id} does not follow the snapshot before it")


def holes(numbers: set[int], newest: int) -> Iterator[tuple[int, int]]:
    """The runs of numbers from 1 to `newest` that are missing, as (first, last)."""
    before = 0
    for number in sorted(number for number in numbers if 0 < number <= newest):
        if number > before + 1:
            yield before + 1, number - 1
        before = number


def _hash_of(removed: Removed, key: ChainKey, number: int) -> set[str]:
    return {removed[key, number]} - {""} if (key, number) in removed else set()


def _back_again(snapshot: Snapshot, removed_hash: str) -> TamperedError:
    if snapshot.hash == removed_hash:
        return TamperedError(f"snapshot {snapshot.id} was removed by retention, and somebody put it back")
    return TamperedError(
        f"snapshot {snapshot.id} claims number {snapshot.manifest.number}, which was another that retention removed"
    )
