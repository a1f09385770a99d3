"""The agent key: what a backup host holds. It can write, list and check; it cannot read data."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property

from drtool.errors import FormatVersionError, KeyFileError
from drtool.repository.identity import Identity
from drtool.repository.keyring import Keyring
from drtool.repository.primitives import KEY_BYTES, SigningKey, derive

ID_BYTES = 16


@dataclass(frozen=True)
class AgentKey:
    """``repository`` and ``root`` are pinned: nothing is taken from a store unless it belongs to both."""

    name: str
    repository: bytes
    root: bytes
    seed: bytes = field(repr=False)
    keyring: Keyring

    @cached_property
    def signing_key(self) -> SigningKey:
        """Signs what this host writes."""
        return SigningKey(self.seed)

    @cached_property
    def ring_opener(self) -> Identity:
        """Opens the key ring that the root seals to this host after a rotation. No data is sealed to it."""
        return Identity(derive(self.seed, "drtool/1/agent/ring"), self.root)

    def to_text(self) -> str:
        """The text of an agent key file (JSON)."""
        fields = {
            "drtool": "agent-key",
            "format": 1,
            "name": self.name,
            "repository": self.repository.hex(),
            "lineage": self.keyring.lineage.hex(),
            "root": self.root.hex(),
            "seed": self.seed.hex(),
            **self.keyring.to_json(),
        }
        return json.dumps(fields, indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str, origin: str) -> AgentKey:
        """The agent key in a file's text; `origin` names the file in errors."""
        try:
            fields = json.loads(text)
            if fields["drtool"] != "agent-key":
                raise KeyFileError(f"{origin} is not an agent key")
            if fields["format"] != 1:
                raise FormatVersionError(f"{origin} has format {fields['format']}, this version knows format 1")
            key = cls(
                name=str(fields["name"]),
                repository=bytes.fromhex(fields["repository"]),
                root=bytes.fromhex(fields["root"]),
                seed=bytes.fromhex(fields["seed"]),
                keyring=Keyring.from_json(bytes.fromhex(fields["lineage"]), fields),
            )
        except (ValueError, KeyError, TypeError):
            # `from None`: the cause may quote the text, which is secret.
            raise KeyFileError(f"{origin} is not an agent key, or is damaged") from None
        if [len(key.repository), len(key.keyring.lineage)] != [ID_BYTES] * 2 or [len(key.seed), len(key.root)] != [
            KEY_BYTES
        ] * 2:
            raise KeyFileError(f"{origin} is damaged: a key in it has the wrong length")
        return key
