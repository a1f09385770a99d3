"""Reading binary objects without running past their end, and writing signed JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from drtool.errors import DamagedObjectError


class Cursor:
    """Takes fields off the front of `data`; every shortage is a ``DamagedObjectError`` that names `what`."""

    def __init__(self, data: bytes | memoryview, what: str) -> None:
        self._data = memoryview(data)
        self._what = what
        self.position = 0

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        end = self.position + length
        if end > len(self._data):
            raise DamagedObjectError(f"{self._what} is truncated")
        piece = bytes(self._data[self.position : end])
        self.position = end
        return piece

    def u8(self) -> int:
        """The next byte as a number."""
        return self.take(1)[0]

    def u16(self) -> int:
        """The next two bytes, big-endian."""
        return int.from_bytes(self.take(2))

    def u32(self) -> int:
        """The next four bytes, big-endian."""
        return int.from_bytes(self.take(4))

    def u64(self) -> int:
        """The next eight bytes, big-endian."""
        return int.from_bytes(self.take(8))

    @property
    def at_end(self) -> bool:
        """Is nothing left?"""
        return self.position == len(self._data)

    def finish(self) -> None:
        """Nothing may be left."""
        if not self.at_end:
            raise DamagedObjectError(f"{self._what} has {len(self._data) - self.position} bytes too many")


def encode_json(value: Mapping[str, Any]) -> bytes:
    """One line of JSON in UTF-8, keys sorted, no spaces, no line break."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


#: Numbers in signed objects stay below this, so that every JSON reader agrees on them.
NUMBER_LIMIT = 1 << 53


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def decode_json(data: bytes, what: str) -> dict[str, Any]:
    """The JSON object in `data`; ``DamagedObjectError`` names `what` otherwise."""
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DamagedObjectError(f"{what} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise DamagedObjectError(f"{what} is not a JSON object")
    return value
