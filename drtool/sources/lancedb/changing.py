"""What changed between two versions of a table: the files that only one of them has. A file itself never changes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Set
from typing import Any

from drtool.errors import SourceError
from drtool.sources.lancedb.files import File, Version, fix
from drtool.sources.lancedb.records import key_of
from drtool.sources.reading import Base, Changes


def find_changes(since: Mapping[str, Any], versions: Mapping[str, Version], bases: Mapping[str, Base]) -> Changes:
    """See ``View.changes``. Where the earlier version is cleaned up, or is another table's, nothing is known."""
    touched: dict[str, Mapping[int, Set[int]]] = {}
    full: dict[str, str] = {}
    for name, base in bases.items():
        number, digest = since.get("tables", {}).get(name, (None, None))
        version = versions[name]
        if (number, digest) == (version.manifest.version, version.digest):
            continue
        earlier = _earlier(version, number, digest)
        if earlier is None:
            full[name] = "the version that the last snapshot holds is not there any more"
        else:
            touched[name] = _touched(set(earlier.files) ^ set(version.files), base)
    return Changes(touched=touched, full=full)


def _earlier(version: Version, number: int | None, digest: str | None) -> Version | None:
    if number is None:
        return None
    try:
        earlier = fix(version.name, version.directory, number)
    except SourceError:
        return None  # cleaned up, in whole or in part: its table is read whole, which says what else is wrong
    return earlier if earlier.digest == digest else None


def _touched(differing: set[File], base: Base) -> dict[int, set[int]]:
    """The chunks that hold a part of these files, or would."""
    groups = base.firsts()
    found: dict[int, set[int]] = {}
    for file in differing:
        for offset in file.offsets():
            key = key_of(file.path, offset)
            group = max(0, bisect_right(groups, key) - 1)
            found.setdefault(group, set()).add(max(0, bisect_right(base.bounds(group), key) - 1))
    return found
