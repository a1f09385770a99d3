"""Hosts' audit logs as they are kept in the repository: sealed, signed and linked (docs/format.md, "Audit log")."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drtool.errors import DamagedObjectError, DrtoolError, TamperedError, WrongKeyError
from drtool.repository.ids import new_id
from drtool.repository.linked import AUDIT, Link, check_links, end_of, saw
from drtool.repository.manifests import object_hash
from drtool.repository.primitives import SigningKey
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.trust import utc_now
from drtool.repository.wire import NUMBER_LIMIT, decode_json, encode_json

#: What a revocation calls a signer's part of audit logs.
CHAIN = "audit"
_TYPES: dict[str, type] = {"audit": str, "number": int, "at": str, "host": str, "file": str, "log": str, "lines": list}


@dataclass(frozen=True, slots=True)
class Logged:
    """A part of a host's audit log: ``lines`` as they stand in its file, ``log`` the SHA-256 (hex) of its first one.
    ``at`` is when it was put, by the host's clock; ``file`` where the log lies on the host; ``name`` the object's."""

    name: str
    signer: bytes
    number: int
    at: str
    host: str
    file: str
    log: str
    lines: tuple[str, ...]


def record(repository: Repository, file: Path, log: str, lines: Sequence[str], signer: SigningKey) -> str:
    """Store lines of this host's log, which lies in `file`, linked to what the same signer stored last; returns the
    object's name."""
    number, previous = end_of(repository, AUDIT, signer.public, [])
    if previous is None:  # a host that remembers nothing: another may have written with this key
        links = [link for link, _ in _read(repository, [])]
        number, previous = end_of(repository, AUDIT, signer.public, links)
    id_ = new_id()
    name = AUDIT + id_
    fields = {
        "format": 1,
        "audit": id_,
        "number": number + 1,
        "previous": previous,
        "at": utc_now(),
        "host": socket.gethostname(),
        "file": str(file),
        "log": log,
        "lines": list(lines),
    }
    data = repository.seal(Kind.AUDIT, name, encode_json(fields), signer)
    repository.storage.put(name, data, if_absent=True)
    saw(repository, AUDIT, Link.of(name, signer.public, data, fields))
    return name


def read_logged(repository: Repository) -> tuple[list[Logged], list[DrtoolError]]:
    """All that the repository holds of audit logs, in the order of each signer, and what is wrong with the objects and
    their chains. Remembers the heads of chains that are whole."""
    heads = repository.state.heads()  # before the listing
    problems: list[DrtoolError] = []
    found = list(_read(repository, problems))
    problems += check_links(repository, AUDIT, [link for link, _ in found], heads, forks=True)
    return sorted((logged for _, logged in found), key=lambda one: (one.signer, one.number, one.name)), problems


def _read(repository: Repository, problems: list[DrtoolError]) -> Iterator[tuple[Link, Logged]]:
    for name, data in repository.listing(AUDIT):
        if data is None:
            continue
        try:
            if isinstance(data, DrtoolError):
                raise data
            opened = repository.open_object(Kind.AUDIT, name, data)
            fields = decode_json(opened.payload, name)
            if not _is_well_formed(fields) or fields["audit"] != name.removeprefix(AUDIT):
                raise DamagedObjectError(f"{name} is not the part of an audit log that it should be")
            if not repository.document.accepts(opened.signer, CHAIN, fields["number"], object_hash(data)):
                raise TamperedError(f"{name} was signed after its signer's key had been revoked")
            link = Link.of(name, opened.signer, data, fields)
        except (DamagedObjectError, TamperedError, WrongKeyError) as error:
            problems.append(error.about(name))
            continue
        except (KeyError, TypeError, ValueError) as error:
            problems.append(DamagedObjectError(f"{name} lacks something: {error}").about(name))
            continue
        text = {key: fields[key] for key in ("at", "host", "file", "log")}
        yield link, Logged(name=name, signer=opened.signer, number=link.number, lines=tuple(fields["lines"]), **text)


def _is_well_formed(fields: dict[str, Any]) -> bool:
    if fields.get("format") != 1 or not all(isinstance(fields.get(name), kind) for name, kind in _TYPES.items()):
        return False
    return 1 <= fields["number"] < NUMBER_LIMIT and all(isinstance(line, str) for line in fields["lines"])
