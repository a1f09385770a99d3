"""Ending what a key may do: an agent's signing, a recipient's reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from drtool.errors import NoSuchSnapshotError, RefusedError, UsageError
from drtool.operations.keys.naming import Holder, find_holder
from drtool.operations.reporting import Reporter
from drtool.repository.authority import Authority
from drtool.repository.chain_ends import Link, Links, links_of
from drtool.repository.erasing import withdraw
from drtool.repository.manifests import SNAPSHOTS
from drtool.repository.repository import Repository
from drtool.repository.trust import LastGood, NamedRecipient, Revocation, Signer, keys_name, utc_now


@dataclass(frozen=True, slots=True)
class Revoked:
    """What was revoked: the signer, the recipient, or both.

    ``kept`` is the last object that counts of each of the signer's chains; ``refused`` are those that came after.
    """

    name: str
    signer: Signer | None
    recipient: NamedRecipient | None
    kept: tuple[Link, ...]
    refused: tuple[Link, ...]


def revoke(
    repository: Repository,
    authority: Authority,
    name: str,
    reporter: Reporter,
    *,
    before: datetime | None = None,
    last_good: Sequence[str] = (),
) -> Revoked:
    """Nothing that the key called `name` signs from now on counts, and nothing is sealed to it any more.

    What it signed stays, up to the end of each chain as the store holds it now; or, of what the store took before
    `before` by its own clock; or, of the chain of each snapshot in `last_good`, up to that snapshot. ``RefusedError``
    for the root.
    """
    document = authority.document
    holder = find_holder(document, name)
    _refuse_root(authority, holder)
    signer, entry = holder.signer, holder.recipient
    if signer is None and (before is not None or last_good):
        raise UsageError(f"{name} signs nothing, so it has no last good snapshot")
    links = Links((), ()) if signer is None else _links(repository, signer, reporter)
    kept = _kept(links, before, last_good)
    revocations, recipients = document.revocations, document.recipients
    if signer is not None:
        last = {chain: LastGood(link.number, link.hash) for chain, link in kept.items()}
        revocations = (*revocations, Revocation(signer.public, utc_now(), last))
    authority.publish(revocations=revocations, recipients=tuple(each for each in recipients if each != entry))
    ended = [entry.recipient] if entry is not None else []
    ended += [signer.ring_to] if signer is not None and signer.ring_to is not None else []
    withdraw_rings(authority, reporter, [keys_name(recipient) for recipient in ended])
    refused = tuple(link for link in links.found if _is_after(link, kept.get(link.chain)))
    return Revoked(holder.name, signer, entry, tuple(kept.values()), refused)


def require_recipients(authority: Authority, names: Sequence[str]) -> list[str]:
    """The same names, each recipient once. ``UsageError`` unless each is a recipient's name; ``RefusedError`` where one
    is the root's."""
    found: dict[bytes, str] = {}
    for name in names:
        holder = find_holder(authority.document, name)
        if holder.recipient is None:
            raise UsageError(f"{name} is no recipient", hint="See: drtool key list")
        _refuse_root(authority, holder)
        found.setdefault(holder.recipient.recipient.fingerprint, name)
    return list(found.values())


def withdraw_rings(authority: Authority, reporter: Reporter, rings: Iterable[str] = ()) -> None:
    """Delete what opens the repository to who was revoked: these rings, and those that are left over. That stops only
    who has no copy of it yet."""
    kept = withdraw(authority.storage, sorted({*rings, *authority.left_over()}))
    if kept:
        others = f" (and {len(kept) - 1:,} more objects)" if len(kept) > 1 else ""
        reporter.warn(f"{kept[0]}{others} stays: locked, or these credentials may not delete it with its versions")


def _refuse_root(authority: Authority, holder: Holder) -> None:
    root = authority.identity
    is_recipient = holder.recipient is not None and holder.recipient.recipient == root.recipient
    is_signer = holder.signer is not None and holder.signer.public == root.verifier_key.public
    if is_recipient or is_signer:
        raise RefusedError(
            f"{holder.name} is the repository's root: without it nobody could change keys any more",
            hint="A repository keeps its root for good. If it was stolen, make a new one: docs/security.md.",
        )


def _links(repository: Repository, signer: Signer, reporter: Reporter) -> Links:
    links = links_of(repository, signer.public)
    for problem in links.problems:
        reporter.warn(f"{problem.message}; if {signer.name} signed it, it does not count any more")
    return links


def _kept(links: Links, before: datetime | None, last_good: Sequence[str]) -> dict[str, Link]:
    kept = links.ends(before)
    for snapshot in last_good:
        found = [link for link in links.found if link.name.startswith(SNAPSHOTS + snapshot)]
        if len(found) != 1:
            raise NoSuchSnapshotError(f"{len(found) or 'no'} snapshots of that signer begin with {snapshot!r}")
        kept[found[0].chain] = found[0]
    return kept


def _is_after(link: Link, last: Link | None) -> bool:
    return last is None or link.number > last.number or (link.number == last.number and link.hash != last.hash)
