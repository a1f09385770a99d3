"""The keys of a lineage that a backup host may hold: catalog keys and the id key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any

from drtool.errors import WrongKeyError
from drtool.repository.primitives import KEY_BYTES, derive

CATALOG_KEY_ID_BYTES = 8


class ChunkKind(IntEnum):
    """What a chunk holds, which decides what seals it (docs/format.md, "Chunks")."""

    DATA = 1
    CATALOG = 2
    PRIVATE = 3


@dataclass(frozen=True)
class Keyring:
    """``catalog`` maps key ids (8 bytes) to keys (32 bytes), ``current`` seals new objects; ``id_key`` has 32 bytes."""

    lineage: bytes
    catalog: Mapping[bytes, bytes] = field(repr=False)
    current: bytes
    id_key: bytes = field(repr=False)

    def catalog_key(self, key_id: bytes) -> bytes:
        """The catalog key of this id; ``WrongKeyError`` where this ring does not have it."""
        try:
            return self.catalog[key_id]
        except KeyError:
            raise WrongKeyError(
                f"the key given does not hold catalog key {key_id.hex()}",
                hint="The catalog key was rotated after this key file was written, or the object is foreign.",
            ) from None

    def chunk_id_key(self, kind: ChunkKind) -> bytes:
        """The BLAKE3 key that names chunks of this kind."""
        return self._id_keys[kind]

    @cached_property
    def _id_keys(self) -> dict[ChunkKind, bytes]:
        return {kind: derive(self.id_key, f"drtool/1/chunk-id/{kind.name.lower()}") for kind in ChunkKind}

    @cached_property
    def cut_key(self) -> bytes:
        """The key of the cut rule."""
        return derive(self.id_key, "drtool/1/cut")

    @cached_property
    def seal_key(self) -> bytes:
        """The key of what a host checks its own notes with."""
        return derive(self.id_key, "drtool/1/local-state")

    def to_json(self) -> dict[str, Any]:
        """The fields that key files and keys/ share."""
        ordered = sorted(self.catalog, key=lambda key_id: (key_id != self.current, key_id))
        return {
            "catalog_keys": [{"id": key_id.hex(), "key": self.catalog[key_id].hex()} for key_id in ordered],
            "id_key": self.id_key.hex(),
        }

    @classmethod
    def from_json(cls, lineage: bytes, value: Mapping[str, Any]) -> Keyring:
        """The ring that `to_json` wrote; ``ValueError``, ``KeyError`` or ``TypeError`` where it did not."""
        pairs = [(bytes.fromhex(entry["id"]), bytes.fromhex(entry["key"])) for entry in value["catalog_keys"]]
        id_key = bytes.fromhex(value["id_key"])
        if not pairs or len(id_key) != KEY_BYTES:
            raise ValueError("key ring is incomplete")
        if any(len(key_id) != CATALOG_KEY_ID_BYTES or len(key) != KEY_BYTES for key_id, key in pairs):
            raise ValueError("a catalog key has the wrong length")
        return cls(lineage, dict(pairs), pairs[0][0], id_key)
