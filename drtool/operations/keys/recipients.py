"""Letting one more person read: what is written from now on, and what is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from drtool.errors import DrtoolError, RefusedError, RepositoryError, UsageError
from drtool.operations.keys.naming import check_new_name
from drtool.operations.reporting import Reporter
from drtool.repository.added_slots import closed_packs, open_to
from drtool.repository.authority import Authority
from drtool.repository.identity import Recipient
from drtool.repository.packs import ADDED_SLOT_BYTES
from drtool.repository.public_file import PublicHalf
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.trust import NamedRecipient, RepositoryDocument, Role, Signer, utc_now
from drtool.repository.wire import decode_json

#: A pack counts its recipients in one byte.
MAX_RECIPIENTS = 255
#: Runs of these kinds store no packs.
_READING = frozenset({"restore", "verify", "export"})


@dataclass(frozen=True, slots=True)
class Added:
    """A recipient who reads from now on. ``was_there``: had been added before, so that only old packs were looked at.

    ``opened`` counts the packs whose keys were sealed to it; ``problems`` are those where that was not possible.
    ``still_writing`` are runs (ids) that began before, whose packs it does not read yet.
    """

    name: str
    recipient: Recipient
    was_there: bool
    opened: int
    problems: tuple[DrtoolError, ...]
    still_writing: tuple[str, ...]


def add_recipient(
    repository: Repository,
    authority: Authority,
    public: PublicHalf,
    reporter: Reporter,
    *,
    name: str | None = None,
    verifier: bool = False,
    old_packs: bool = True,
) -> Added:
    """Seal what is written from now on to `public` too, and with `old_packs` the keys of the packs that are there.

    With `verifier` its holder may attest verifications. May be repeated: what was done is not done again.
    ``RefusedError`` for a name that is taken, or a recipient who goes by another.
    """
    document = authority.document
    known = next((entry for entry in document.recipients if entry.recipient == public.recipient), None)
    usual = known.name if known is not None else f"recipient-{public.recipient.fingerprint.hex()[:8]}"
    named = usual if name is None else name
    if verifier and public.verifier is None:
        raise UsageError(
            "the recipient file names no verifier key",
            hint="drtool key generate --recipient-out writes one that does.",
        )
    if known is None:
        _check(document, public, named, reporter)
    elif known.name != named:
        raise RefusedError(f"that recipient is there already, as {known.name}", hint="Leave --name out.")
    signers = _signers(document, public, named) if verifier else document.signers
    if known is None or signers != document.signers:
        recipients = document.recipients
        if known is None:
            authority.share([public.recipient])
            recipients = (*recipients, NamedRecipient(public.recipient, named, utc_now()))
        authority.publish(recipients=recipients, signers=signers)
    opened, problems = _open_old(repository, public.recipient, named, reporter) if old_packs else (0, [])
    writing = tuple(_writing(repository)) if old_packs else ()
    return Added(named, public.recipient, known is not None, opened, tuple(problems), writing)


def _check(document: RepositoryDocument, public: PublicHalf, name: str, reporter: Reporter) -> None:
    check_new_name(document, name)
    if len(document.recipients) >= MAX_RECIPIENTS:
        raise RefusedError(f"a repository has at most {MAX_RECIPIENTS} recipients", hint="Revoke one first.")
    if public.believes is not None:
        reporter.warn("that file holds a secret: only its public half is used; do not leave it on this host")
        if public.believes != document.root:
            reporter.warn(f"that identity believes another root: it needs the line: root {document.root.hex()}")


def _signers(document: RepositoryDocument, public: PublicHalf, name: str) -> Sequence[Signer]:
    if public.verifier is not None and document.is_revoked(public.verifier):
        raise RefusedError(
            "that identity's verifier key was revoked, which is for good", hint="Its holder makes another identity."
        )
    if public.verifier is None or document.allows(public.verifier, Role.VERIFIER):
        return document.signers
    return (*document.signers, Signer(public.verifier, name, frozenset({Role.VERIFIER}), utc_now()))


def _open_old(
    repository: Repository, recipient: Recipient, name: str, reporter: Reporter
) -> tuple[int, list[DrtoolError]]:
    """Until a look finds no pack that was not looked at before: runs that began earlier go on storing some."""
    task = f"Opening packs to {name}"
    seen: set[str] = set()
    opened = 0
    problems: list[DrtoolError] = []
    while waiting := [info for info in closed_packs(repository, recipient) if info.name not in seen]:
        reporter.start(task, len(waiting) * ADDED_SLOT_BYTES)
        try:
            for done in open_to(repository, recipient, waiting):
                seen.add(done.name)
                opened += done.opened
                problems += [done.problem] if done.problem is not None else []
                reporter.advance(task, ADDED_SLOT_BYTES)
        finally:
            reporter.finish(task)
    return opened, problems


def _writing(repository: Repository) -> Iterator[str]:
    """The runs that store packs and began before now; those that died are forgotten after a day."""
    now = repository.storage.now()
    recent = [info for info in repository.storage.list("runs/") if now - info.modified < timedelta(days=1)]
    for name, data in repository.fetch(recent):
        if not isinstance(data, bytes):
            continue
        try:
            fields = decode_json(repository.open_object(Kind.RUN, name, data).payload, name)
        except RepositoryError:
            continue  # what nobody signed writes nothing that counts
        if fields.get("state") == "running" and fields.get("kind") not in _READING:
            yield str(fields.get("run"))
