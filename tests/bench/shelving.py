"""Putting objects into a repository's directory as of some time ago, without waiting for the disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from drtool.repository.agent_key import AgentKey
from drtool.repository.identity import Identity
from drtool.repository.ids import new_id
from drtool.repository.manifests import object_hash
from drtool.repository.primitives import SigningKey
from drtool.repository.sealed import Kind, seal_object
from drtool.repository.wire import encode_json


@dataclass(frozen=True)
class Keys:
    """The keys of a repository, as the texts of their files: another process can be given them."""

    agent_text: str
    identity_text: str

    @cached_property
    def agent(self) -> AgentKey:
        """What signs manifests."""
        return AgentKey.from_text(self.agent_text, "the agent key")

    @cached_property
    def identity(self) -> Identity:
        """What signs evidence of reading data, removals and merged indexes."""
        return Identity.from_text(self.identity_text, "the identity")


class Shelf:
    """The objects of one repository; each is as old as it is said to be."""

    def __init__(self, root: Path, keys: Keys) -> None:
        self.keys = keys
        self._root = root
        self._last: dict[tuple[str, bytes], tuple[int, str | None]] = {}

    def put(self, name: str, data: bytes | memoryview, moment: datetime) -> None:
        """An object."""
        path = self._path(name)
        path.write_bytes(data)
        os.utime(path, (moment.timestamp(), moment.timestamp()))

    def put_hole(self, name: str, size: int, moment: datetime) -> None:
        """An object of so many bytes, all of them zero and none of them on the disk."""
        path = self._path(name)
        with path.open("wb") as file:
            file.truncate(size)
        os.utime(path, (moment.timestamp(), moment.timestamp()))

    def seal(self, kind: Kind, name: str, payload: bytes, signer: SigningKey) -> bytes:
        """A sealed object of this repository."""
        return seal_object(kind, name, payload, self.keys.agent.keyring, signer, self.keys.agent.repository)

    def put_record(
        self, kind: Kind, prefix: str, fields: Mapping[str, Any], signer: SigningKey, moment: datetime
    ) -> None:
        """A numbered record, linked to the last one of this kind and signer that was put here."""
        id_ = new_id(moment)
        number, previous = self._last.get((prefix, signer.public), (0, None))
        own = {"format": 1, kind.label: id_, "number": number + 1, "previous": previous}
        data = self.seal(kind, prefix + id_, encode_json({**fields, **own}), signer)
        self.put(prefix + id_, data, moment)
        self._last[prefix, signer.public] = number + 1, object_hash(data)

    def _path(self, name: str) -> Path:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
