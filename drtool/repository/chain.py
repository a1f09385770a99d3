"""The snapshots of a repository, and whether their chains are whole (docs/format.md, "Chains")."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All snapshots, oldest first, and what is wrong with them: an error for each object or chain."""

    snapshots: tuple[Snapshot, ...]
    problems: tuple[DrtoolError, ...]

    def heads(self) -> dict[ChainKey, Snapshot]:
        """The newest snapshot of each chain."""
        return {s.chain: s for s in sorted(self.snapshots, key=lambda s: s.manifest.number)}

    def suspects(self) -> frozenset[str]:
        """The ids of those that may lack changes, as a later snapshot of their chain says."""
        told: dict[ChainKey, list[tuple[int, int]]] = defaultdict(list)
        for snapshot in self.snapshots:
            told[snapshot.chain] += snapshot.manifest.suspects
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
    snapshots: list[Snapshot] = []
    problems: list[DrtoolError] = []
    for name, data in repository.fetch(repository.storage.list(SNAPSHOTS)):
        if isinstance(data, DrtoolError):
            problems.append(data)
            continue
        if data is None:
            continue
        try:
            snapshots.append(open_snapshot(repository, name, data))
        except (DamagedObjectError, FormatVersionError, TamperedError, WrongKeyError) as error:
            problems.append(error)
    # An id tells the second only; within one, the chain's own numbers do.
    snapshots.sort(key=lambda s: (s.id.rpartition("-")[0], s.manifest.number))
    removed = _removed(repository, problems)
    remembered = {(h.origin, h.signer, h.job): h for h in repository.state.heads() if not h.job.startswith(OPLOG)}
    chains: dict[ChainKey, list[Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        chains[snapshot.chain].append(snapshot)
    for key in sorted({*chains, *remembered}):
        found = list(_chain_problems(key, chains[key], removed, remembered.get(key), is_own=key[0] == repository.id))
        problems += found
        if not found and chains[key]:
            repository.state.saw_heads([max(chains[key], key=lambda s: s.manifest.number).head])
    return Catalogue(tuple(snapshots), tuple(problems))


def newest_first(repository: Repository) -> Iterator[Snapshot]:
    """The snapshots that can be read, each checked by itself only; a few manifests are read at a time, so that whoever
    looks for a recent one reads few."""
    names = sorted((info.name for info in repository.storage.list(SNAPSHOTS)), reverse=True)
    for start in range(0, len(names), FETCHERS):
        for name, data in repository.fetch(names[start : start + FETCHERS]):
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


def _removed(repository: Repository, problems: list[DrtoolError]) -> Removed:
    removed: dict[tuple[ChainKey, int], str] = {}

    def take(fields: Mapping[str, Any]) -> None:
        removed.update({_removal(entry): str(entry["hash"]) for entry in fields["snapshots"]})

    follow_removals(repository, take, problems)
    return removed


def follow_removals(
    repository: Repository, take: Callable[[Mapping[str, Any]], None], problems: list[DrtoolError]
) -> None:
    """Give `take` the fields of each announcement of what was removed. What is damaged, forged, or lacks what `take`
    looks for, goes to `problems`."""
    for name, data in repository.fetch(repository.storage.list("removals/")):
        if isinstance(data, DrtoolError):
            problems.append(data)
            continue
        if data is None:
            continue
        try:
            opened = repository.open_object(Kind.REMOVAL, name, data)
            fields = decode_json(opened.payload, name)
            if not repository.document.accepts(opened.signer, "removals", int(fields["number"]), object_hash(data)):
                raise TamperedError(f"{name} was signed after its signer's key had been revoked")
            take(fields)
        except (DamagedObjectError, TamperedError, WrongKeyError) as error:
            problems.append(error)
        except (KeyError, ValueError, TypeError) as error:
            problems.append(DamagedObjectError(f"{name} lacks something: {error}"))


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
    return {removed[key, number]} if (key, number) in removed else set()


def _back_again(snapshot: Snapshot, removed_hash: str) -> TamperedError:
    if snapshot.hash == removed_hash:
        return TamperedError(f"snapshot {snapshot.id} was removed by retention, and somebody put it back")
    return TamperedError(
        f"snapshot {snapshot.id} claims number {snapshot.manifest.number}, which was another that retention removed"
    )
