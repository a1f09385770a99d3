"""Lengths and strings: what everything in a dump file is made of. Positions are offsets into a buffer."""

from __future__ import annotations

from mmap import mmap

from drtool.errors import SourceError

Buffer = bytes | mmap | memoryview
"""What is read: a payload, or a whole file."""

_LZF = 0xC3


class DamagedDumpError(SourceError):
    """What the server sent is no dump in a format that is known."""


def read_length(data: Buffer, at: int) -> tuple[int, int]:
    """A length, and where it ends."""
    first = data[at]
    if first < 0x40:
        return first, at + 1
    if first < 0x80:
        return (first & 0x3F) << 8 | data[at + 1], at + 2
    if first == 0x80:
        return int.from_bytes(data[at + 1 : at + 5]), at + 5
    if first == 0x81:
        return int.from_bytes(data[at + 1 : at + 9]), at + 9
    raise DamagedDumpError(f"a length in the dump begins with {first:#x}, which is unknown")


def skip_string(data: Buffer, at: int) -> int:
    """Where the string that begins here ends."""
    first = data[at]
    if first < 0x40:
        return at + 1 + first
    if first < 0xC0:
        length, at = read_length(data, at)
        return at + length
    if first < _LZF:
        return at + 1 + (1 << (first - 0xC0))
    if first == _LZF:
        length, at = read_length(data, at + 1)
        _, at = read_length(data, at)
        return at + length
    raise DamagedDumpError(f"a string in the dump begins with {first:#x}, which is unknown")


def read_string(data: Buffer, at: int) -> tuple[bytes, int]:
    """A string, unpacked, and where it ends. Integers are their decimal digits."""
    first = data[at]
    if first < 0xC0:
        length, at = read_length(data, at)
        return bytes(data[at : at + length]), at + length
    if first < _LZF:
        end = at + 1 + (1 << (first - 0xC0))
        return b"%d" % int.from_bytes(data[at + 1 : end], "little", signed=True), end
    if first == _LZF:
        packed, at = read_length(data, at + 1)
        length, at = read_length(data, at)
        return unpack_lzf(bytes(data[at : at + packed]), length), at + packed
    raise DamagedDumpError(f"a string in the dump begins with {first:#x}, which is unknown")


def length_bytes(length: int) -> bytes:
    """A length in its shortest form."""
    if length < 0x40:
        return bytes((length,))
    if length < 0x4000:
        return (0x4000 | length).to_bytes(2)
    if length < 1 << 32:
        return b"\x80" + length.to_bytes(4)
    return b"\x81" + length.to_bytes(8)


def string_bytes(text: bytes) -> bytes:
    """A string as it is, with its length."""
    return length_bytes(len(text)) + text


def unpack_lzf(packed: bytes, length: int) -> bytes:
    """LZF (http://oldhome.schmorp.de/marc/liblzf.html): runs of literals, and references of 3 to 264 bytes up to 8 KiB
    back, which may reach into what they produce."""
    out = bytearray()
    at, end = 0, len(packed)
    try:
        while at < end:
            control = packed[at]
            at += 1
            if control < 32:
                out += packed[at : at + control + 1]
                at += control + 1
                continue
            size = control >> 5
            if size == 7:
                size += packed[at]
                at += 1
            start = len(out) - ((control & 0x1F) << 8 | packed[at]) - 1
            at += 1
            size += 2
            if start < 0:
                break
            run = out[start : start + size]
            while len(run) < size:
                run += run[: size - len(run)]
            out += run
    except IndexError:
        pass  # the length tells
    if len(out) != length:
        raise DamagedDumpError("a packed string in the dump is damaged")
    return bytes(out)
