"""Checks of what only some stores keep or promise: versions, and a clock that agrees with this host's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from drtool.errors import ObjectMissingError, PermissionDeniedError
from drtool.storage.base import Lock
from drtool.storage.conformance.model import Check, Room, expect, expect_error

#: Seconds that the store's clock and this host's may differ: S3 refuses requests at 900.
SKEW = 60.0
#: For how long (seconds) an object is locked; it stays as long, and goes with the next doctor after an hour.
LOCKED = 60


def _versions(room: Room) -> str:
    name = room.name("object")
    first = room.storage.put(name, b"first")
    if first.version is None:
        listed = [(info.name, info.version) for info in room.storage.list_versions(room.prefix)]
        expect(listed == [(name, None)], "a store without versions lists some")
        return "the store keeps no versions: an object that is deleted or replaced is gone"
    second = room.storage.put(name, b"second")
    room.storage.delete(name)
    expect_error(ObjectMissingError, lambda: room.storage.get(name), "reading an object that is hidden")
    expect(not list(room.storage.list(room.prefix)), "a hidden object is listed")
    expect(room.storage.get(name, version=first.version) == b"first", "an old version reads differently")
    expect(room.storage.head(name, version=second.version).size == 6, "head shows another version")
    kept = [info.version for info in room.storage.list_versions(room.prefix) if not info.is_delete_marker]
    expect(kept == [second.version, first.version], "versions are not listed newest first")
    room.storage.delete(name, version=first.version)
    expect_error(
        ObjectMissingError,
        lambda: room.storage.get(name, version=first.version),
        "reading a version that was deleted",
    )
    expect(room.storage.get(name, version=second.version) == b"second", "deleting a version took another with it")
    for marker in [info for info in room.storage.list_versions(room.prefix) if info.is_delete_marker]:
        room.storage.delete(name, version=marker.version)
    expect(room.storage.get(name) == b"second", "removing what hides an object does not bring it back")
    return "the store keeps versions"


def _locks(room: Room) -> str:
    if room.storage.keeping().locks is False:
        return "the store, or this bucket of it, locks nothing: whoever may delete can delete everything"
    name = room.name("object")
    now = room.storage.now().replace(microsecond=0)
    put = room.storage.put(name, b"content", lock=Lock("COMPLIANCE", now + timedelta(seconds=LOCKED / 2)))
    longer = Lock("COMPLIANCE", now + timedelta(seconds=LOCKED))
    room.storage.set_lock(name, longer)
    expect(room.storage.head(name).lock == longer, "a lock was taken and is not shown")
    expect_error(
        PermissionDeniedError,
        lambda: room.storage.delete(name, version=put.version),
        "deleting a version that is locked",
    )
    expect(room.storage.get(name, version=put.version) == b"content", "a version that is locked is gone")
    return "the store locks objects"


def _skew(room: Room) -> str:
    before = datetime.now(UTC)
    theirs = room.storage.now()
    after = datetime.now(UTC)
    ahead = (theirs - (before + (after - before) / 2)).total_seconds()
    expect(abs(ahead) < SKEW, f"the store's clock is {ahead:+.0f} s from this host's")
    return f"the store's clock is {ahead:+.0f} s from this host's"


CHECKS = (
    Check("versions", "bringing back what an intruder or an accident replaced", _versions, required=False),
    Check("object lock", "keeping what somebody with your credentials wants to destroy", _locks, required=False),
    Check(
        "clocks agree",
        "S3 refuses every request at 15 minutes, and retention sets aside snapshots that seem to come from the future",
        _skew,
        required=False,
    ),
)
