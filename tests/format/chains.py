"""Chains of manifests and of removals: is anything missing, twice there, or put back?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.format.keys import Trust, require
from tests.format.objects import Sealed


@dataclass(frozen=True)
class Chain:
    """`name` as revocations write it: ``<origin hex>/<job>`` or ``removals``."""

    signer: bytes
    name: str


@dataclass(frozen=True)
class Head:
    """What a reader remembers of a chain."""

    number: int
    hash: str


@dataclass
class _Found:
    links: list[tuple[Sealed, dict[str, Any]]] = field(default_factory=list)
    removed: dict[int, str] = field(default_factory=dict)


def chain_problems(
    trust: Trust,
    manifests: Iterable[Sealed],
    removals: Iterable[Sealed],
    remembered: Mapping[Chain, Head] | None = None,
) -> list[str]:
    """The page's six rules, over all chains."""
    chains: defaultdict[Chain, _Found] = defaultdict(_Found)
    for manifest in manifests:
        fields = manifest.fields
        chains[_chain_of(manifest.signer, fields)].links.append((manifest, fields))
    for removal in removals:
        fields = removal.fields
        chains[Chain(removal.signer, "removals")].links.append((removal, fields))
        for gone in fields["snapshots"]:
            chain = _chain_of(bytes.fromhex(gone["signer"]), gone)
            chains[chain].removed[gone["number"]] = gone["hash"]
    for chain in remembered or {}:
        _ = chains[chain]
    problems: list[str] = []
    for chain, found in chains.items():
        problems += [f"chain {chain.name}: {problem}" for problem in _of_one(trust, chain, found)]
        if remembered and chain in remembered:
            problems += [f"chain {chain.name}: {problem}" for problem in _against_memory(found, remembered[chain])]
    return problems


def heads(manifests: Iterable[Sealed]) -> dict[Chain, Head]:
    """The newest of every chain, to be remembered."""
    found: dict[Chain, Head] = {}
    for manifest in manifests:
        fields = manifest.fields
        chain = _chain_of(manifest.signer, fields)
        if chain not in found or found[chain].number < fields["number"]:
            found[chain] = Head(fields["number"], manifest.hash)
    return found


def check_number(sealed: Sealed) -> None:
    """A number below 1 is damage."""
    number = sealed.fields["number"]
    require(isinstance(number, int) and number >= 1, "has no place in a chain")


def _chain_of(signer: bytes, fields: Mapping[str, Any]) -> Chain:
    return Chain(signer, f"{fields['repository']}/{fields['job']}")


def _of_one(trust: Trust, chain: Chain, found: _Found) -> Iterator[str]:
    hashes: dict[int, set[str]] = defaultdict(set)
    for sealed, fields in found.links:
        hashes[fields["number"]].add(sealed.hash)
    known = hashes.keys() | found.removed.keys()
    is_ours = chain.name == "removals" or chain.name.startswith(trust.repository.hex() + "/")
    if is_ours and known and len(known) != max(known):
        yield f"{max(known) - len(known)} of {max(known)} are missing, and no removal names them"
    for number, claims in hashes.items():
        if len(claims) > 1:
            yield f"number {number} is claimed {len(claims)} times"
        if number in found.removed:
            yield f"number {number} was removed and is there"
    for sealed, fields in found.links:
        number, previous = fields["number"], fields["previous"]
        before = set(hashes.get(number - 1, ()))
        if number - 1 in found.removed:
            before.add(found.removed[number - 1])
        if (previous is None) != (number == 1) or (before and previous not in before):
            yield f"{sealed.name} does not follow number {number - 1}"
        if chain.signer in trust.revocations:
            last = trust.revocations[chain.signer].get(chain.name)
            if last is None or number > last["number"] or (number == last["number"] and sealed.hash != last["hash"]):
                yield f"{sealed.name} was signed by a revoked signer"


def _against_memory(found: _Found, head: Head) -> Iterator[str]:
    there = {sealed.hash for sealed, fields in found.links if fields["number"] == head.number}
    there |= {hash_ for number, hash_ in found.removed.items() if number == head.number}
    if head.hash not in there:
        yield f"the remembered head, number {head.number}, is not there any more"
