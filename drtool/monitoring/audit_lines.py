"""The lines of an audit log, each of which names the one before, and what is wrong with them (docs/format.md, "Audit
log")."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

#: No line is longer (bytes), so that a damaged file cannot exhaust a reader's memory.
LONGEST = 64 * 1024
#: Nor does one have a greater number, so that every JSON reader agrees on it.
NUMBER_LIMIT = 1 << 53


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as it stands in the file: ``text`` is one line of JSON in ASCII, without its end."""

    number: int
    previous: str | None
    text: str
    fields: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """What the next line names: the SHA-256 of this one, hex."""
        return digest(self.text.encode())


@dataclass(frozen=True, slots=True)
class End:
    """The number of a log's last line, and its hash; 0 and None before the first."""

    number: int = 0
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong with a log.

    ``kind`` is ``altered``, ``missing``, ``foreign`` (out of its order, or written by somebody else) or ``cut``;
    ``number`` the entry that it is about.
    """

    kind: str
    number: int
    message: str


@dataclass(slots=True)
class Checked:
    """What a look at lines found: the last that fits, the hashes of those that do by their numbers, and the faults.
    ``torn`` counts lines that a crash cut off and the next entry noted."""

    end: End = field(default_factory=End)
    hashes: dict[int, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    torn: int = 0

    @property
    def log(self) -> str | None:
        """What the log is known by: the hash of its first line."""
        return self.hashes.get(1)


def digest(data: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(data).hexdigest()


def make_line(after: End, fields: Mapping[str, Any]) -> Line:
    """The line with `fields` that follows. ``ValueError`` where it would be longer than any may be."""
    whole = {**fields, "number": after.number + 1, "previous": after.hash}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False)
    if len(text) > LONGEST:
        raise ValueError(f"an entry of the audit log would have {len(text):,} bytes")
    return Line(after.number + 1, after.hash, text, whole)


def parse_line(raw: bytes) -> Line | None:
    """A line without its end; None where it is no entry."""
    if len(raw) > LONGEST:
        return None
    try:
        text = raw.decode("ascii")
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    number, previous = fields.get("number"), fields.get("previous")
    if type(number) is not int or not 1 <= number < NUMBER_LIMIT or not isinstance(previous, str | None):
        return None
    return Line(number, previous, text, fields)


def check_lines(raws: Iterable[bytes], *, is_file: bool = True) -> Checked:
    """Look at a log's lines (without their ends) in the order of the file.

    Garbage is no fault where the next entry notes it by its hash (``torn``): a crash left it. What is not the file
    (`is_file`) holds no garbage.
    """
    found = Checked()
    garbage: list[bytes] = []
    for raw in raws:
        line = parse_line(raw)
        if line is None:
            garbage.append(raw)
            continue
        if is_file:
            found.faults += _of_garbage(found, garbage, line)
        garbage.clear()
        _take(found, line)
    if garbage:
        found.faults.append(_no_entry(found.end.number))
    return found


def _of_garbage(found: Checked, garbage: list[bytes], line: Line) -> Iterator[Fault]:
    noted = line.fields.get("torn")
    if noted is not None and garbage and digest(b"\n".join(garbage)) == noted:
        found.torn += 1
    elif noted is not None:
        message = f"what a crash left before entry {line.number}, as that notes, is gone or another"
        yield Fault("altered", line.number, message)
    elif garbage:
        yield _no_entry(found.end.number)


def _no_entry(after: int) -> Fault:
    return Fault("altered", after + 1, f"after entry {after} there is something that is no entry: it was altered")


def _take(found: Checked, line: Line) -> None:
    before, number = found.end, line.number
    if number <= before.number:
        message = f"entry {number} stands after entry {before.number}: it was moved there, or put in"
        found.faults.append(Fault("foreign", number, message))
        return
    if number > before.number + 1:
        first, last = before.number + 1, number - 1
        which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
        found.faults.append(Fault("missing", first, f"{which} missing"))
    elif line.previous != before.hash:
        message = (
            f"entry {number} does not follow what stands before it: that was altered"
            if before.number
            else "the first entry is not the log's first one"
        )
        found.faults.append(Fault("altered", max(before.number, 1), message))
    found.end = End(number, line.hash)
    found.hashes[number] = line.hash


def against(found: Checked, seen: End, whose: str) -> Iterator[Fault]:
    """What does not fit to a line that was seen before; `whose` memory it is is told (``this host``)."""
    if seen.hash is None:
        return
    if seen.number > found.end.number:
        message = f"the log ends with entry {found.end.number}, but {whose} has seen entry {seen.number}: it was cut"
        yield Fault("cut", seen.number, message)
    elif (there := found.hashes.get(seen.number)) is not None and there != seen.hash:
        yield Fault("altered", seen.number, f"entry {seen.number} is not the one that {whose} has seen")
