"""The root at work: the next version of repository.json, and key rings for who needs one.

Two people may do that at once. Every object is put only over the one that was there when this began, so that one of
them is told and neither's work is lost. What a version of repository.json names is stored before it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from drtool.errors import LockedError, ObjectMissingError, PreconditionFailedError, TamperedError, WrongKeyError
from drtool.repository.erasing import current_objects
from drtool.repository.identity import Identity, Recipient
from drtool.repository.keyring import CATALOG_KEY_ID_BYTES, Keyring
from drtool.repository.newest import read_newest
from drtool.repository.primitives import KEY_BYTES
from drtool.repository.repository import Repository
from drtool.repository.trust import (
    REPOSITORY_NAME,
    RepositoryDocument,
    keys_name,
    open_keyring,
    seal_keyring,
)
from drtool.storage.base import Storage

KEYS = "keys/"
_RING = re.compile(rf"{KEYS}[0-9a-f]{{32}}")


def ring_holders(document: RepositoryDocument) -> Iterator[Recipient]:
    """Everybody to whom a key ring is sealed: the recipients, and the signers that are not revoked."""
    for entry in document.recipients:
        yield entry.recipient
    for signer in document.signers:
        if signer.ring_to is not None and not document.is_revoked(signer.public):
            yield signer.ring_to


class Authority:
    """Made from a repository that was opened with the root's identity; ``WrongKeyError`` for any other key.

    ``document`` and ``keyring`` are what the store held when this was made, and then what was published and shared.
    """

    def __init__(self, repository: Repository) -> None:
        identity = repository.identity
        if identity is None or identity.root_key.public != repository.document.root:
            raise WrongKeyError(
                "this needs the identity that the repository was made with, its root; the key given is another one"
            )
        self._repository = repository
        self._identity: Identity = identity
        storage = repository.storage
        self._is_conditional = storage.probe().compare_and_swap
        # Tags before contents: what changes in between then fails to be replaced, rather than being lost.
        found = [info for prefix in (KEYS, REPOSITORY_NAME) for info in current_objects(storage, prefix)]
        self._tags = {info.name: info.etag for info in found}
        self.document, _ = read_newest(storage, identity.root)
        if self.document.sequence < repository.document.sequence:
            raise TamperedError("repository.json has just been put back to an older version")
        self.keyring = open_keyring(self._get(keys_name(identity.recipient)), self.document, identity)

    @property
    def storage(self) -> Storage:
        """Where the keys lie."""
        return self._repository.storage

    @property
    def identity(self) -> Identity:
        """The root's identity."""
        return self._identity

    def grow_ring(self) -> Keyring:
        """A ring with one catalog key more, which is its current one; the id key stays."""
        key_id = os.urandom(CATALOG_KEY_ID_BYTES)
        catalog = {**self.keyring.catalog, key_id: os.urandom(KEY_BYTES)}
        self.keyring = replace(self.keyring, catalog=catalog, current=key_id)
        return self.keyring

    def share(self, recipients: Iterable[Recipient]) -> None:
        """Seal the ring to each of them."""
        for recipient in recipients:
            sealed = seal_keyring(self.keyring, self.document.repository, recipient, self._identity.root_key)
            self.put(keys_name(recipient), sealed)

    def publish(self, **changes: Any) -> None:
        """The next version of repository.json, with `changes`."""
        document = self.document.next(**changes)
        self.put(REPOSITORY_NAME, document.sign(self._identity.root_key))
        self.document = self._repository.document = document
        self._repository.state.saw_sequence(document.sequence)

    def put(self, name: str, data: bytes) -> None:
        """Replace the object that was there when this was made, or create it.

        ``LockedError`` where somebody else has put another one meanwhile.
        """
        storage = self._repository.storage
        tag = self._tags.get(name)
        try:
            if not self._is_conditional:
                self._require_unchanged(name, tag)
                info = storage.put(name, data)
            elif tag is None:
                info = storage.put(name, data, if_absent=True)
            else:
                info = storage.put(name, data, if_match=tag)
        except (PreconditionFailedError, ObjectMissingError) as error:
            raise LockedError(
                f"somebody else changes the keys of {storage.url} just now ({name} is another one)",
                hint="Nothing of theirs was overwritten. Look at drtool key list, then run the command again.",
            ) from error
        self._tags[name] = info.etag

    def left_over(self) -> list[str]:
        """The names of rings that were there when this was made and belong to nobody whom the document names: of who
        has just been revoked, or left by a change that was cut off. Only after `publish`: whoever else has put one for
        somebody to be named fails to name him then, and one that was put anew is not among them."""
        held = {keys_name(recipient) for recipient in ring_holders(self.document)}
        now = {info.name: info.etag for info in current_objects(self.storage, KEYS)}
        rings = (name for name in sorted(self._tags) if _RING.fullmatch(name) and name not in held)
        return [name for name in rings if now.get(name) == self._tags[name]]

    def _require_unchanged(self, name: str, tag: str | None) -> None:
        """The next best thing where the store ignores conditions."""
        found = {info.name: info.etag for info in current_objects(self._repository.storage, name)}
        if found.get(name) != tag:
            raise PreconditionFailedError(f"{name} was changed meanwhile")

    def _get(self, name: str) -> bytes:
        try:
            return self._repository.storage.get(name)
        except ObjectMissingError as error:
            raise TamperedError(f"{name} is missing, although repository.json names its recipient") from error
