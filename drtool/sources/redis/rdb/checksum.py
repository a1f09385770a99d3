"""Redis' CRC-64 (Jones: polynomial 0xad93d23594c935a9, reflected, no inversion), by the package anycrc.

Whatever imports this module needs that package: a restore and an export do, a backup does not.
"""

from __future__ import annotations

from collections.abc import Callable

from drtool.sources.extras import require

checksum: Callable[..., int] = require("anycrc", "redis").Model("CRC64-REDIS").calc
"""The checksum of bytes; with a second argument, which is the checksum of what stands before them, that of both."""

CHECKSUM_BYTES = 8


def footer(crc: int) -> bytes:
    """A checksum as it stands behind what it is of: eight bytes, little-endian."""
    return crc.to_bytes(CHECKSUM_BYTES, "little")
