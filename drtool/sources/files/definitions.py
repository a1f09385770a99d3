"""A tree's definition, as JSON: what it is besides its records. Names of owners are for people."""

from __future__ import annotations

import grp
import json
import pwd
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drtool.errors import SourceError
from drtool.sources.files.scanning import Walked


@dataclass(frozen=True, slots=True)
class Definition:
    """The path as it is configured, by number what this host calls the owners and groups that occur, and the patterns
    of what was left out."""

    path: str
    owners: Mapping[int, str]
    groups: Mapping[int, str]
    exclude: Sequence[str] = ()

    @classmethod
    def of(cls, walked: Walked) -> Definition:
        """Of a tree that was walked."""
        names = _named(walked.owners, user_name), _named(walked.groups, group_name)
        return cls(walked.tree.name, *names, walked.tree.exclude)

    def encode(self) -> bytes:
        """As bytes."""
        return json.dumps(self.describe(), sort_keys=True).encode()

    @classmethod
    def decode(cls, data: bytes) -> Definition:
        """Back from `encode`. ``SourceError`` where it is none."""
        try:
            values = json.loads(data)
            exclude = [str(pattern) for pattern in values.get("exclude", ())]
            return cls(values["path"], _from_json(values["owners"]), _from_json(values["groups"]), exclude)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(f"the definition of a tree of files cannot be read: {error}") from error

    def describe(self) -> Mapping[str, Any]:
        """For people."""
        return {
            "path": self.path,
            "owners": _as_json(self.owners),
            "groups": _as_json(self.groups),
            "exclude": list(self.exclude),
        }


def user_name(number: int) -> str | None:
    """What this host calls a user; None for one that it does not know."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return None


def group_name(number: int) -> str | None:
    """What this host calls a group."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return None


def _named(numbers: Iterable[int], name_of: Any) -> Mapping[int, str]:
    return {number: name_of(number) or "" for number in sorted(numbers)}


def _as_json(names: Mapping[int, str]) -> dict[str, str]:
    return {str(number): name for number, name in names.items()}


def _from_json(names: Mapping[str, str]) -> Mapping[int, str]:
    return {int(number): str(name) for number, name in names.items()}
