"""Numbered objects of one signer that each name the one before: removals, evidence, parts of audit logs
(docs/format.md, "Chains")."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from drtool.errors import DrtoolError, MissingObjectError, RolledBackError, TamperedError
from drtool.repository.manifests import object_hash
from drtool.repository.repository import Repository
from drtool.repository.state import Head

REMOVALS = "removals/"
AUDIT = "audit/"
#: How local state remembers the heads of these chains: no job's name holds a slash.
LINKED = (REMOVALS, "evidence/", AUDIT)


@dataclass(frozen=True, slots=True)
class Link:
    """An object's place in its signer's chain; ``hash`` and ``previous`` are SHA-256 of objects, hex."""

    name: str
    signer: bytes
    number: int
    previous: str | None
    hash: str

    @classmethod
    def of(cls, name: str, signer: bytes, data: bytes, fields: Mapping[str, Any]) -> Link:
        """From an opened object; ``KeyError``, ``TypeError`` or ``ValueError`` where it has no place in a chain."""
        previous = fields.get("previous")
        if not isinstance(previous, str | None):
            raise TypeError("what it follows is none")
        return cls(name, signer, int(fields["number"]), previous, object_hash(data))


def check_links(
    repository: Repository,
    prefix: str,
    links: Iterable[Link],
    heads: Iterable[Head],
    *,
    forks: bool = False,
    gone: Collection[str] = (),
) -> list[DrtoolError]:
    """What is wrong with the chains below `prefix`; remembers the heads of those that are whole.

    `heads` are those that this host remembered before it listed the objects.

    With `forks` several processes of a signer may have written at once, so that numbers repeat and only what a link
    follows is looked for. `gone` are the hashes of objects whose removal was announced.
    """
    chains: dict[str, list[Link]] = defaultdict(list)
    for link in links:
        chains[link.signer.hex()].append(link)
    remembered = {h.signer: h for h in heads if h.job == prefix and _counts(repository, h)}
    problems: list[DrtoolError] = []
    for signer in sorted({*chains, *remembered}):
        chain = sorted(chains[signer], key=lambda link: (link.number, link.name))
        found = [*_cut(remembered.get(signer), chain, gone), *_gaps(chain, gone)]
        if not forks:
            found += _twice(chain)
        problems += found
        if chain and not found:
            last = chain[-1]
            repository.state.saw_heads([Head(repository.id, signer, prefix, last.number, last.hash, last.name)])
    return problems


def missing(
    repository: Repository, prefix: str, links: Sequence[Link], heads: Iterable[Head], gone: Collection[str]
) -> set[str]:
    """The hashes of objects below `prefix` that others follow, or that this host had seen (`heads`, as for
    `check_links`), and that are neither there nor announced as removed."""
    wanted = {link.previous for link in links if link.previous is not None}
    wanted |= {head.hash for head in heads if head.job == prefix and _counts(repository, head)}
    return wanted - {link.hash for link in links} - set(gone)


def end_of(repository: Repository, prefix: str, signer: bytes, links: Iterable[Link]) -> tuple[int, str | None]:
    """Number and hash of the last object of a signer: the last there is or, where this host has seen a later one, that
    one, so that a cut stays visible. 0 and None before the first."""
    ends = [(link.number, link.hash) for link in links if link.signer == signer]
    ends += [
        (head.number, head.hash)
        for head in repository.state.heads()
        if head.job == prefix and head.signer == signer.hex() and _counts(repository, head)
    ]
    return max(ends, key=lambda end: end[0], default=(0, None))


def saw(repository: Repository, prefix: str, link: Link) -> None:
    """Remember what this host has just put."""
    head = Head(repository.id, link.signer.hex(), prefix, link.number, link.hash, link.name)
    repository.state.saw_heads([head])


def _counts(repository: Repository, head: Head) -> bool:
    word = head.job.rstrip("/")
    return repository.document.accepts(bytes.fromhex(head.signer), word, head.number, head.hash)


def _cut(remembered: Head | None, chain: Sequence[Link], gone: Collection[str]) -> Iterator[DrtoolError]:
    if remembered is None or remembered.hash in gone or any(link.hash == remembered.hash for link in chain):
        return
    name = remembered.snapshot
    yield RolledBackError(
        f"{name} (number {remembered.number}), which this host has seen, is gone or another one"
    ).about(name)


def _gaps(chain: Sequence[Link], gone: Collection[str]) -> Iterator[DrtoolError]:
    hashes = {link.hash for link in chain}
    for link in chain:
        if link.previous is None and link.number > 1:
            yield TamperedError(f"{link.name} has number {link.number} and follows nothing").about(link.name)
        elif link.previous is not None and link.previous not in hashes and link.previous not in gone:
            kind = link.name.partition("/")[0].removesuffix("s")
            yield MissingObjectError(f"the {kind} that {link.name} follows is gone or another one").about(link.name)


def _twice(chain: Sequence[Link]) -> Iterator[DrtoolError]:
    for one, other in pairwise(chain):
        if one.number == other.number:
            yield TamperedError(f"{one.name} and {other.name} claim number {one.number} of one chain").about(other.name)
