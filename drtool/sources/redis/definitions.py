"""What is kept of a stream beside its records: what a target must know before it is written to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drtool.sources.redis.rdb.types import OLDEST_VERSION


@dataclass(frozen=True, slots=True)
class Definition:
    """``version`` is the oldest version of the dump format that has all its values, ``exclude`` the patterns of keys
    that were left out, ``expiring`` how many keys expire one day. ``types`` are the kinds of values in it."""

    version: int = OLDEST_VERSION
    exclude: tuple[str, ...] = ()
    expiring: int = 0
    types: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """As JSON."""
        return json.dumps(self.shown(), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def decode(cls, data: bytes) -> Definition:
        """The reverse of `encode`."""
        told = json.loads(data)
        return cls(told["version"], tuple(told["exclude"]), told["expiring"], tuple(told["types"]))

    def shown(self) -> Mapping[str, Any]:
        """As JSON values."""
        return {
            "version": self.version,
            "exclude": list(self.exclude),
            "expiring": self.expiring,
            "types": list(self.types),
        }
