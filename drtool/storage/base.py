"""The interface of a storage; its comments are the contract.

Names are relative POSIX paths of ``[a-z0-9._/-]`` (lower case only: some file systems fold
case), without ``..``, empty parts or a leading slash. Objects are at most 5 GiB; drtool writes
about 32 MiB. Every method may raise ``PermissionDeniedError``, ``BucketMissingError``,
``StorageError`` (permanent) and ``TransientStorageError`` (worth another try).
All methods may be called from several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Lock:
    """Until when (UTC, by the store's clock) an object may not be deleted. ``mode`` is ``COMPLIANCE`` (nobody can
    shorten it) or ``GOVERNANCE`` (who has the right to)."""

    mode: str
    until: datetime


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store says about an object without reading it.

    ``size`` is in bytes; ``modified`` is the store's own clock (UTC); ``etag`` is opaque and
    serves ``if_match`` only; ``version`` is None where the store keeps no versions. ``lock`` is known from `head` only.
    """

    name: str
    size: int
    modified: datetime
    etag: str
    version: str | None = None
    is_latest: bool = True
    is_delete_marker: bool = False
    lock: Lock | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store was seen to guarantee (by trying, not by its name)."""

    create_only_put: bool
    compare_and_swap: bool
    versions: bool


@dataclass(frozen=True, slots=True)
class Expiry:
    """A rule by which the store deletes by itself what begins with ``prefix``: objects after so many days, or versions
    that others took the place of; None where the rule does not concern them."""

    rule: str
    prefix: str
    days: int | None
    noncurrent_days: int | None


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a store says of how it keeps objects. None is what these credentials may not know.

    ``default_lock`` is the mode and the days that an object gets which is put without a lock.
    """

    versions: bool | None
    locks: bool | None
    default_lock: tuple[str, int] | None
    expiries: tuple[Expiry, ...] | None


@dataclass(frozen=True, slots=True)
class Rights:
    """What credentials may undo; None where it was not tried.

    ``hide``: delete an object (with versions, that hides it); ``delete_versions``: delete what nothing locks;
    ``delete_locked``: delete a locked version all the same, which the store should let nobody do; ``shorten``: make a
    lock end earlier; ``bypass``: delete what is locked in mode ``GOVERNANCE``; ``lifecycle``, ``policy``: change the
    bucket's.
    """

    hide: bool
    delete_versions: bool
    delete_locked: bool | None = None
    shorten: bool | None = None
    bypass: bool | None = None
    lifecycle: bool | None = None
    policy: bool | None = None


class Storage(Protocol):
    """A flat name space of immutable-by-convention objects below one prefix or directory."""

    @property
    def url(self) -> str:
        """Where this is, as a user would write it; never with credentials."""

    def put(
        self,
        name: str,
        data: Buffer,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        sha256: bytes | None = None,
        lock: Lock | None = None,
    ) -> ObjectInfo:
        """Store `data` whole under `name`: afterwards readers see all of it, or (on any error) the state before.

        Durable when it returns. Without a condition the last put wins. ``if_absent`` creates
        only, ``if_match`` replaces only the object that has this etag; both raise
        ``PreconditionFailedError`` otherwise, and of several concurrent ones exactly one
        succeeds. ``sha256`` is the digest of `data` where the caller has it already; it is sent
        along so that the store can check what arrived. ``lock`` keeps this version from being deleted; a store that
        cannot lock refuses it (``UnsafeStorageError``, nothing stored). Safe to repeat without a condition; with one,
        a lost answer makes a repetition fail although the first took effect
        (``drtool.storage.retry`` deals with it).
        """

    def get(self, name: str, *, offset: int = 0, length: int | None = None, version: str | None = None) -> bytes:
        """The bytes ``[offset, offset + length)`` of an object, or all from `offset`.

        Exactly that many, or an error: ``CorruptAnswerError`` when the answer is shorter than announced,
        ``ObjectMissingError`` without the object, ``StorageError`` when the range lies outside it.
        """

    def head(self, name: str, *, version: str | None = None) -> ObjectInfo:
        """What the store says about one object; ``ObjectMissingError`` without it."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose name begins with `prefix`, in name order, pages fetched as needed.

        Sees every put that had returned before the call began. ``prefix`` is a plain string
        prefix. Objects deleted meanwhile may or may not appear; what has no valid name does not.
        """

    def list_versions(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All versions (delete markers too) by name, newest first; where the store keeps none, the same as `list`."""

    def delete(self, name: str, *, version: str | None = None) -> None:
        """Remove an object, or one version of it. Deleting what is not there is no error.

        On a store with versions, a delete without `version` only hides the object. A locked version is not removed
        (``PermissionDeniedError``).
        """

    def keeps_versions(self) -> bool:
        """May there be older versions of objects? True also where these credentials may not know."""

    def set_lock(self, name: str, lock: Lock, *, version: str | None = None) -> None:
        """Lock a version (the current one by default) until `lock` says. Safe to repeat.

        ``PermissionDeniedError`` where it is locked for longer already; ``UnsafeStorageError`` where the store cannot
        lock.
        """

    def keeping(self) -> Keeping:
        """What the store says of versions, locks and rules of expiry, below this prefix."""

    def rights(self, lock: Lock | None) -> Rights:
        """What these credentials may undo, by trying on objects of its own under ``leases/probe-`` (locked as `lock`
        says, where it is given) and where trying changes nothing. What is locked for a while stays that long.
        """

    def probe(self) -> Capabilities:
        """Find out by trying on objects of its own (under ``leases/probe-``), which it removes. May be cached."""

    def now(self) -> datetime:
        """The store's own clock (UTC), to the second or better."""

    def close(self) -> None:
        """Release connections. Safe to call twice."""
