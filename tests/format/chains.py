"""Chains of manifests and of removals: is anything missing, twice there, or put back?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
            there = {one.hash for one, entry in chains[chain].links if entry["number"] == gone["number"]}
            if not (gone.get("lost") and there and _is_found_again(trust, chain, gone["hash"], there)):
                chains[chain].removed[gone["number"]] = gone["hash"]
    for chain in remembered or {}:
        _ = chains[chain]
    problems: list[str] = []
    for chain, found in chains.items():
        problems += [f"chain {chain.name}: {problem}" for problem in _of_one(trust, chain, found)]
        if remembered and chain in remembered:
            problems += [f"chain {chain.name}: {problem}" for problem in _against_memory(found, remembered[chain])]
    return problems


def _is_found_again(trust: Trust, chain: Chain, hash_: str, there: set[str]) -> bool:
    """Does what was on record as lost stand there again?"""
    return hash_ in there or (not hash_ and chain.signer not in trust.revocations)


def countable(trust: Trust, manifests: Sequence[Sealed], removals: Iterable[Sealed]) -> list[Sealed]:
    """Those that are to be read: of a revoked signer, what neither its revocation nor another object contradicts."""
    removed: dict[tuple[Chain, int], str] = {}
    for removal in removals:
        for gone in removal.fields["snapshots"]:
            removed[_chain_of(bytes.fromhex(gone["signer"]), gone), gone["number"]] = gone["hash"]
    told: dict[tuple[Chain, int], set[str | None]] = defaultdict(set)
    refused: set[str] = set()
    for sealed in sorted(manifests, key=lambda one: one.fields["number"], reverse=True):
        fields = sealed.fields
        chain, number = _chain_of(sealed.signer, fields), fields["number"]
        if chain.signer in trust.revocations:
            gone_hash = removed.get((chain, number))
            witnesses = told[chain, number] or ({gone_hash} if gone_hash else {sealed.hash})
            if _is_late(trust, chain, number, sealed.hash) or sealed.hash not in witnesses:
                refused.add(sealed.name)
                continue
        told[chain, number - 1].add(fields["previous"])
    return [sealed for sealed in manifests if sealed.name not in refused]


def _is_late(trust: Trust, chain: Chain, number: int, hash_: str) -> bool:
    """Does a revocation end the chain before this?"""
    if chain.signer not in trust.revocations:
        return False
    last = trust.revocations[chain.signer].get(chain.name)
    return last is None or number > last["number"] or (number == last["number"] and hash_ != last["hash"])


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
        if found.removed.get(number - 1):
            before.add(found.removed[number - 1])
        if (previous is None) != (number == 1) or (before and previous not in before):
            yield f"{sealed.name} does not follow number {number - 1}"
        if _is_late(trust, chain, number, sealed.hash):
            yield f"{sealed.name} was signed by a revoked signer"


def _against_memory(found: _Found, head: Head) -> Iterator[str]:
    there = {sealed.hash for sealed, fields in found.links if fields["number"] == head.number}
    there |= {hash_ for number, hash_ in found.removed.items() if number == head.number}
    if head.hash not in there:
        yield f"the remembered head, number {head.number}, is not there any more"
