"""What a revoked signer may forge into its past: a number is free to choose, a hash is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from drtool.errors import TamperedError
from drtool.repository.trust import RepositoryDocument

if TYPE_CHECKING:
    from drtool.repository.chain import ChainKey, Snapshot


def contradicted(
    document: RepositoryDocument, snapshots: Iterable[Snapshot], removed: Mapping[tuple[ChainKey, int], str]
) -> Iterator[tuple[Snapshot, TamperedError]]:
    """The snapshots of revoked signers that others speak against, which therefore do not count (docs/format.md,
    "Chains"): the one that follows names another, or the removal of this number does.

    What the revocation itself speaks against has been refused before (`open_snapshot`). `removed` are hashes by chain
    and number.
    """
    chains: dict[ChainKey, dict[int, list[Snapshot]]] = defaultdict(lambda: defaultdict(list))
    for snapshot in snapshots:
        if document.is_revoked(snapshot.signer):
            chains[snapshot.chain][snapshot.manifest.number].append(snapshot)
    for key, numbers in chains.items():
        for number in sorted(numbers, reverse=True):
            told = {s.manifest.previous for s in numbers.get(number + 1, ())}
            if not told and (key, number) in removed:
                told = {removed[key, number]}
            refused = [s for s in numbers[number] if told and s.hash not in told]
            # What is refused says nothing about the one before it.
            numbers[number] = [s for s in numbers[number] if s not in refused]
            yield from ((s, _forged(document, s)) for s in refused)


def _forged(document: RepositoryDocument, snapshot: Snapshot) -> TamperedError:
    signer = document.name_of(snapshot.signer)
    return TamperedError(
        f"{snapshot.manifest.name} claims number {snapshot.manifest.number} of {signer}'s snapshots, which was another:"
        " it was signed after the key had been revoked"
    )
