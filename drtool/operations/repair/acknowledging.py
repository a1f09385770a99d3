"""Putting on record that snapshots, or evidence, are lost for good, so that their absence is no news any more."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drtool.errors import RefusedError, WrongKeyError
from drtool.repository.chain import ChainKey, Snapshot, follow_removals, read_catalogue
from drtool.repository.evidence import EVIDENCE, links_of
from drtool.repository.leases import Lease, new_owner
from drtool.repository.linked import LINKED, missing
from drtool.repository.primitives import SigningKey
from drtool.repository.removals import LEASE, MOST_NAMED, Finding, Lost, Removal, announce
from drtool.repository.repository import Repository
from drtool.repository.segments import OPLOG
from drtool.repository.state import Head


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What was put on record: snapshots, and how many pieces of evidence."""

    snapshots: tuple[Lost, ...]
    evidence: int


def acknowledge(repository: Repository, wait: Callable[[float], bool] | None = None) -> Acknowledged:
    """Announce, as a maintainer, the snapshots and the evidence that are missing from this repository's chains.

    A manifest that cannot be read is missing as well. What is found again later, and is what it was, counts again.
    ``WrongKeyError`` without the role maintainer, ``RefusedError`` where a chain claims absurd numbers,
    ``LockedError`` while retention removes something; `wait` (seconds) returns True where waiting is to end.
    """
    if repository.maintainer is None:
        raise WrongKeyError(
            "to put on record that snapshots are lost takes a key with the role maintainer",
            hint="Name repository.identity, or repository.maintenance.agent_key.",
        )
    with _alone(repository, wait):
        return _acknowledge(repository, repository.maintainer)


@contextlib.contextmanager
def _alone(repository: Repository, wait: Callable[[float], bool] | None) -> Iterator[None]:
    """While nobody else announces anything."""
    able = repository.storage.probe()
    if not (able.create_only_put and able.compare_and_swap):
        yield  # nothing is ever removed from such a store
        return
    with Lease(repository, LEASE, owner=new_owner(), wait=wait):
        yield


def _acknowledge(repository: Repository, signer: SigningKey) -> Acknowledged:
    heads = repository.state.heads()  # before anything is listed: what is put meanwhile is not missing
    catalogue = read_catalogue(repository)
    gone = tuple(_missing(repository, heads, catalogue.snapshots))
    evidence = missing(repository, EVIDENCE, links_of(repository), heads, catalogue.removed_evidence)
    if gone or evidence:
        findings = tuple(Finding("", hash_) for hash_ in sorted(evidence))
        announce(repository, Removal(lost=gone, evidence=findings), signer)
    return Acknowledged(gone, len(evidence))


def told(lost: Lost) -> str:
    """One of them, as people read it."""
    name = f" ({lost.snapshot})" if lost.snapshot else ""
    return f"job {lost.chain[2]}: snapshot number {lost.number}{name}"


def _missing(repository: Repository, remembered: Iterable[Head], snapshots: Iterable[Snapshot]) -> list[Lost]:
    chains: dict[ChainKey, list[Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        chains[snapshot.chain].append(snapshot)
    heads = {
        (head.origin, head.signer, head.job): head
        for head in remembered
        if not head.job.startswith(OPLOG) and head.job not in LINKED
    }
    announced = _announced(repository)
    own = (key for key in sorted({*chains, *heads}) if key[0] == repository.id)
    gone = [one for key in own for one in _of_chain(key, chains[key], heads.get(key), announced[key])]
    if len(gone) > MOST_NAMED:
        raise RefusedError(
            f"{len(gone):,} snapshots seem to be missing: a manifest claims a number that no chain can have reached",
            hint="drtool snapshots names it. Find out who signed it before anything is put on record.",
        )
    return gone


def _announced(repository: Repository) -> Mapping[ChainKey, set[int]]:
    found: dict[ChainKey, set[int]] = defaultdict(set)

    def take(fields: Mapping[str, Any]) -> None:
        for entry in fields["snapshots"]:
            key = str(entry["repository"]), str(entry["signer"]), str(entry["job"])
            found[key].add(int(entry["number"]))

    follow_removals(repository, take, [])
    return found


def _of_chain(key: ChainKey, snapshots: Sequence[Snapshot], head: Head | None, announced: set[int]) -> list[Lost]:
    """The numbers that are missing, with what their neighbours and this host's memory say of them."""
    there = {snapshot.manifest.number: snapshot.manifest for snapshot in snapshots}
    known = {
        number - 1: (manifest.previous_snapshot or "", manifest.previous or "") for number, manifest in there.items()
    }
    if head is not None:
        known[head.number] = (head.snapshot, head.hash)
    last = max([*there, head.number if head is not None else 0], default=0)
    wanted = range(1, min(last, len(there) + len(announced) + MOST_NAMED + 1) + 1)
    missing = [number for number in wanted if number not in there and number not in announced]
    return [Lost(key, number, *known.get(number, ("", ""))) for number in missing]
