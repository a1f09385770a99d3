"""Pins: snapshots that retention must leave alone, and their release (docs/format.md, "Payloads")."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from drtool.errors import DamagedObjectError, DrtoolError, TamperedError, WrongKeyError
from drtool.repository.chain import Snapshot
from drtool.repository.ids import new_id
from drtool.repository.primitives import SigningKey
from drtool.repository.repository import Repository
from drtool.repository.sealed import Kind
from drtool.repository.trust import Role, utc_now
from drtool.repository.wire import decode_json, encode_json

PINS = "pins/"


class PinKind(StrEnum):
    """On whose behalf a snapshot is protected."""

    OPERATOR = "operator"
    SAFETY = "safety"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class Pin:
    """A protected snapshot. ``hash`` is that of its manifest, ``until`` when the pin ends by itself (None: never)."""

    id: str
    snapshot: str
    hash: str
    kind: str
    reason: str
    at: str
    host: str
    until: datetime | None
    signer: bytes

    def holds(self, now: datetime) -> bool:
        """Does it still hold at this time (of the store's clock)?"""
        return self.until is None or now < self.until


def read_pins(repository: Repository) -> tuple[tuple[Pin, ...], list[DrtoolError]]:
    """The pins that nobody released, oldest first, and what is wrong with the others."""
    pins: dict[str, Pin] = {}
    releases: list[tuple[str, bytes]] = []
    problems: list[DrtoolError] = []
    for name, data in repository.listing(PINS):
        if isinstance(data, DrtoolError):
            problems.append(data)
            continue
        if data is None:
            continue
        try:
            opened = repository.open_object(Kind.PIN, name, data)
            fields = _checked(decode_json(opened.payload, name), name)
            if fields["releases"] is not None:
                releases.append((str(fields["releases"]), opened.signer))
            else:
                pins[fields["pin"]] = _pin(fields, opened.signer)
        except (DamagedObjectError, TamperedError, WrongKeyError) as error:
            problems.append(error.about(name))
        except (KeyError, ValueError, TypeError) as error:
            problems.append(DamagedObjectError(f"{name} lacks something: {error}").about(name))
    for id_, signer in releases:
        if id_ in pins and may_release(repository, pins[id_], signer):
            del pins[id_]
    return tuple(pins.values()), problems


def may_release(repository: Repository, pin: Pin, signer: bytes) -> bool:
    """Does a release that this signer signs end the pin?"""
    document = repository.document
    is_entitled = signer == pin.signer or document.allows(signer, Role.MAINTAINER)
    return is_entitled and not document.is_revoked(signer)


def protect(
    repository: Repository,
    snapshot: Snapshot,
    reason: str,
    *,
    kind: PinKind = PinKind.OPERATOR,
    until: datetime | None = None,
    signer: SigningKey | None = None,
) -> str:
    """Put a pin; returns its id."""
    fields = {
        "snapshot": snapshot.id,
        "hash": snapshot.hash,
        "kind": kind.value,
        "reason": reason,
        "until": None if until is None else until.isoformat(timespec="seconds"),
        "releases": None,
    }
    return _put(repository, fields, signer or repository.signer)


def release(repository: Repository, pin: Pin, signer: SigningKey) -> str:
    """End a pin by an object that says so; returns that object's id. The caller has asked `may_release`."""
    nothing = dict.fromkeys(("snapshot", "hash", "kind", "reason", "until"))
    return _put(repository, {**nothing, "releases": pin.id}, signer)


def _put(repository: Repository, fields: Mapping[str, Any], signer: SigningKey) -> str:
    id_ = new_id()
    name = PINS + id_
    payload = encode_json({"format": 1, "pin": id_, "at": utc_now(), "host": socket.gethostname(), **fields})
    repository.storage.put(name, repository.seal(Kind.PIN, name, payload, signer), if_absent=True)
    return id_


def _checked(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if fields["format"] != 1 or fields["pin"] != name.removeprefix(PINS):
        raise DamagedObjectError(f"{name} is not the pin that it should be")
    return fields


def _pin(fields: Mapping[str, Any], signer: bytes) -> Pin:
    until = None if fields["until"] is None else datetime.fromisoformat(fields["until"])
    if until is not None and until.tzinfo is None:
        raise ValueError("a time has no zone")
    return Pin(
        id=str(fields["pin"]),
        snapshot=str(fields["snapshot"]),
        hash=str(fields["hash"]),
        kind=str(fields["kind"]),
        reason=str(fields["reason"]),
        at=str(fields["at"]),
        host=str(fields["host"]),
        until=until,
        signer=signer,
    )
