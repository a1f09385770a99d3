"""A repository's storage on a store that keeps versions: what was hidden or replaced is found again, what is put is
locked, and what is deleted is gone with all of its versions (docs/format.md, "Object Lock")."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from drtool.errors import (
    HiddenObjectError,
    ObjectMissingError,
    PermissionDeniedError,
)
from drtool.repository.genuine import FIRST_COUNTS, PUT_ONCE
from drtool.repository.lock_notes import LockNotes
from drtool.repository.locks import LockRule, StoreClock, is_lockable
from drtool.repository.trust import REPOSITORY_NAME
from drtool.storage.base import Buffer, Capabilities, Keeping, Lock, ObjectInfo, Rights, Storage
from drtool.storage.counting import RequestCount

#: No object that is read whole to see whether it is the right version is larger (bytes).
LARGEST = 256 * 1024 * 1024
#: Of what retention announces what it removes, before it hides or deletes it.
ANNOUNCED = ("snapshots/", "evidence/", "oplog/")
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Hidden:
    """An object that stands behind another version: ``version`` is read instead of what hides it since ``at``."""

    name: str
    version: str
    by_marker: bool
    at: datetime

    def error(self) -> HiddenObjectError:
        """What to tell of it."""
        how = "hidden by a delete marker" if self.by_marker else "replaced by another object"
        return HiddenObjectError(
            f"{self.name} was {how} at {self.at:%Y-%m-%d %H:%M:%S} UTC: its version {self.version} is read instead"
        ).about(self.name)


class VersionedStorage:
    """Implements ``drtool.storage.base.Storage`` over another one.

    `holds` says whether data are what a name stands for. `rule` locks what is put; ends of locks are kept in `notes`.
    Where the store keeps no versions, or these credentials may not list them, everything is as without this.
    """

    def __init__(
        self, storage: Storage, holds: Callable[[str, bytes], bool], rule: LockRule | None, notes: LockNotes
    ) -> None:
        self._storage = storage
        self._notes = notes
        self._clock = StoreClock(storage.now)
        self._may_list_versions = True
        self._healing = threading.Lock()
        #: Names that have one version only, as far as listings told.
        self._alone: set[str] = set()
        #: The versions to read instead of the current ones.
        self._right: dict[str, str] = {}
        self._hidden: dict[str, Hidden] = {}
        self._sees_all_of_the_index = False
        self.holds = holds
        #: The names that retention announced as removed: what is hidden of them is gone.
        self.announced: Callable[[], Container[str]] = frozenset
        self.rule = rule

    def count_with(self, count: RequestCount) -> None:
        """Let `count` count what is asked of the store from here on."""
        self._storage = count.of(self._storage)

    @property
    def url(self) -> str:
        """The wrapped storage's."""
        return self._storage.url

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
        """See ``Storage.put``; locked by the repository's rule, unless `lock` is given."""
        if lock is None and self.rule is not None and is_lockable(name):
            lock = self.rule.lock(self._clock.now())
        self._alone.discard(name)
        for known in (self._right, self._hidden):
            known.pop(name, None)
        if lock is None:
            return self._storage.put(name, data, if_absent=if_absent, if_match=if_match, sha256=sha256)
        info = self._storage.put(name, data, if_absent=if_absent, if_match=if_match, sha256=sha256, lock=lock)
        self._notes.note(name, lock.until, info.version)
        return info

    def get(self, name: str, *, offset: int = 0, length: int | None = None, version: str | None = None) -> bytes:
        """See ``Storage.get``. What is missing, or read whole and wrong, is looked for among the versions."""
        version = version or self._right.get(name)
        if version is not None or not is_lockable(name):
            return self._storage.get(name, offset=offset, length=length, version=version)
        try:
            data = self._storage.get(name, offset=offset, length=length)
        except ObjectMissingError:
            if not self.heal(name):
                raise
            return self._storage.get(name, offset=offset, length=length, version=self._right[name])
        whole = offset == 0 and length is None
        is_checked = whole and self._sees_versions() and name not in self._alone
        is_doubtful = is_checked and (name.startswith(FIRST_COUNTS) or not self.holds(name, data))
        if is_doubtful and self.heal(name):
            return self._storage.get(name, version=self._right[name])
        return data

    def heal(self, name: str) -> bool:
        """Look for the right version of an object that was missing or wrong: True if it is read from here on."""
        with self._healing:  # who comes second finds what the first has found
            return name in self._right or self._find(name)

    def notice(self, hidden: Hidden) -> None:
        """Read this version from here on, and tell of it."""
        self._right[hidden.name] = hidden.version
        self._hidden[hidden.name] = hidden

    def hidden(self, names: Container[str] | None = None) -> list[HiddenObjectError]:
        """An error for each object of these names (all by default) that was noticed to stand behind another version."""
        return [one.error() for name, one in sorted(self._hidden.items()) if names is None or name in names]

    def head(self, name: str, *, version: str | None = None) -> ObjectInfo:
        """See ``Storage.head``."""
        return self._storage.head(name, version=version or self._right.get(name))

    def is_alone(self, name: str) -> bool:
        """Is there certainly no other version of it than the current one? As far as listings told."""
        return not self._sees_versions() or name in self._alone

    def uncover_index(self) -> bool:
        """List hidden index objects too from here on; False where that shows nothing more.

        Pruning hides index objects that it replaced and that are still locked, so that they are no sign of anything;
        but something that no other index object knows may be found by them.
        """
        before, self._sees_all_of_the_index = self._sees_all_of_the_index, True
        return not before and self._sees_versions()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See ``Storage.list``. Hidden objects are among them, with ``is_latest`` False: to be read, not relied on."""
        if not is_lockable(prefix) or not self._sees_versions():
            yield from self._storage.list(prefix)
            return
        removed: Container[str] | None = None
        for name, group in groupby(self._versions(prefix), key=lambda info: info.name):
            versions = list(group)
            if versions[0].is_delete_marker and any(not info.is_delete_marker for info in versions):
                removed = self._removed(prefix) if removed is None else removed
                if name in removed or not self._may_be_missed(name):
                    continue
            chosen = self._choose(versions)
            if chosen is not None:
                yield chosen

    def list_versions(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """See ``Storage.list_versions``."""
        return self._storage.list_versions(prefix)

    def delete(self, name: str, *, version: str | None = None) -> None:
        """See ``Storage.delete``."""
        self._storage.delete(name, version=version)
        for known in (self._right, self._hidden):
            known.pop(name, None)

    def locked_until(self, name: str) -> datetime | None:
        """The end of an object's lock; None where it is not locked (any more). At most one request.

        Also without a rule: there may have been one, and buckets can lock what is put by themselves.
        """
        if not is_lockable(name) or not self._sees_versions():
            return None
        now, noted = self._clock.now(), self._notes.find(name)
        if noted is not None and noted[0] > now:
            return noted[0]
        lock = self._look(name)
        return lock.until if lock is not None and lock.until > now else None

    def extend(self, names: Iterable[str]) -> int:
        """Lock anew what has less than half of its time left; how many objects that were.

        A request for each object of whose lock this host does not know that it lasts, another for each that it
        extends. Objects that are gone are passed over: whoever needs them finds out.
        """
        rule = self.rule
        if rule is None:
            return 0
        now = self._clock.now()

        def is_due(name: str) -> bool:
            noted = self._notes.find(name)
            return is_lockable(name) and not rule.lasts(noted[0] if noted else None, now)

        def extended(name: str) -> bool:
            with suppress(ObjectMissingError):
                old, new = self._look(name), rule.lock(now)
                if not rule.lasts(old.until if old is not None else None, now):
                    # A lock can be made longer by whoever may lock; its mode only changes with the right to bypass it.
                    self._lock(name, replace(new, mode=old.mode) if old is not None and old.until > now else new)
                    return True
            return False

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lock") as pool:
            return sum(pool.map(extended, [name for name in names if is_due(name)]))

    def keeps_versions(self) -> bool:
        """See ``Storage.keeps_versions``."""
        return self._storage.keeps_versions()

    def set_lock(self, name: str, lock: Lock, *, version: str | None = None) -> None:
        """See ``Storage.set_lock``."""
        self._storage.set_lock(name, lock, version=version)

    def keeping(self) -> Keeping:
        """See ``Storage.keeping``."""
        return self._storage.keeping()

    def rights(self, lock: Lock | None) -> Rights:
        """See ``Storage.rights``."""
        return self._storage.rights(lock)

    def probe(self) -> Capabilities:
        """See ``Storage.probe``."""
        return self._storage.probe()

    def now(self) -> datetime:
        """See ``Storage.now``."""
        return self._storage.now()

    def close(self) -> None:
        """Close the notes. The wrapped storage is its maker's."""
        self._notes.close()

    def _sees_versions(self) -> bool:
        return self._may_list_versions and self._storage.keeps_versions()

    def _versions(self, prefix: str) -> Iterator[ObjectInfo]:
        """The versions below `prefix`; plain objects where these credentials may not see them, none without any."""
        if not self._sees_versions():
            return
        told = False
        try:
            for info in self._storage.list_versions(prefix):
                told = True
                yield info
        except PermissionDeniedError:
            if told:
                raise
            self._may_list_versions = False
            yield from self._storage.list(prefix)

    def _find(self, name: str) -> bool:
        versions = [info for info in self._versions(name) if info.name == name]
        if versions and versions[0].is_delete_marker and name in self._removed(name):
            return False
        there = [info for info in versions if not info.is_delete_marker and info.version is not None]
        likeliest = there[::-1] if name.startswith(PUT_ONCE) else there
        if not name.startswith(FIRST_COUNTS):
            likeliest.sort(key=lambda info: not info.is_latest)
        for info in likeliest:
            if len(there) == 1 or (info.size <= LARGEST and self.holds(name, self._content(info))):
                if self._is_current(info, versions[0]):
                    return False
                self._note_hidden(info, versions[0])
                return True
        return False

    def _is_current(self, info: ObjectInfo, current: ObjectInfo) -> bool:
        """Is this version the current one, or put once more by it?"""
        if info.is_latest or current.is_delete_marker:
            return info.is_latest
        return info.size == current.size and self._content(info) == self._content(current)

    def _removed(self, prefix: str) -> Container[str]:
        """Read anew each time: this very process may have announced something."""
        return self.announced() if prefix == "" or prefix.startswith(ANNOUNCED) else ()

    def _may_be_missed(self, name: str) -> bool:
        """Nobody deletes what is put once but retention and prune; keys and added slots go when they are revoked."""
        if name.startswith("index/"):
            return self._sees_all_of_the_index
        return name == REPOSITORY_NAME or name.startswith(PUT_ONCE)

    def _choose(self, versions: Sequence[ObjectInfo]) -> ObjectInfo | None:
        """What stands for an object in a listing; None where all of it was deleted."""
        current, *_ = versions
        there = [info for info in versions if not info.is_delete_marker]
        if not there:
            return None
        if len(there) == 1 and current is there[0]:
            self._alone.add(current.name)
            return current
        self._alone.discard(current.name)
        once = current.name.startswith(PUT_ONCE)
        likely = there[-1] if once else there[0]
        # Of the same size it may be the same, put again; reading it tells.
        if not current.is_delete_marker and (not once or current.size == likely.size):
            return current
        self._note_hidden(likely, current, is_sure=len(there) == 1)
        return replace(likely, is_latest=False)

    def _note_hidden(self, info: ObjectInfo, by: ObjectInfo, *, is_sure: bool = True) -> None:
        assert info.version is not None
        hidden = Hidden(info.name, info.version, by.is_delete_marker, by.modified)
        if is_sure:
            self.notice(hidden)
        else:
            self._hidden.setdefault(info.name, hidden)

    def _content(self, info: ObjectInfo) -> bytes:
        return self._storage.get(info.name, version=info.version)

    def _look(self, name: str) -> Lock | None:
        """Ask for a lock, and note until when it holds."""
        info = self._storage.head(name, version=self._version_of(name))
        if info.lock is not None:
            self._notes.note(name, info.lock.until, info.version)
        return info.lock

    def _lock(self, name: str, lock: Lock) -> None:
        version = self._version_of(name)
        self._storage.set_lock(name, lock, version=version)
        self._notes.note(name, lock.until, version)

    def _version_of(self, name: str) -> str | None:
        """The version that the lock is for, where it need not be the current one."""
        noted = self._notes.find(name)
        return self._right.get(name) or (noted[1] if noted else None)
