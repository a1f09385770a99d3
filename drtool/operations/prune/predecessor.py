"""What the last prune of this host left: a process that holds no lock any more is dead, and need not be waited for."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from drtool.errors import (
    DamagedObjectError,
    LockedError,
    ObjectMissingError,
    TamperedError,
    WrongKeyError,
)
from drtool.repository.leases import new_owner
from drtool.repository.repository import Repository
from drtool.repository.runs import close_record

FILE = "prune.json"


@dataclass(slots=True)
class Notes:
    """What a prune notes of itself: who holds its lease, its run, and packs (hex) that it makes and has not indexed."""

    owner: str = ""
    run: str = ""
    made: list[str] = field(default_factory=list)


class LocalNotes:
    """The notes of this prune, in a file that only it has locked; ``before`` are those of the one before."""

    def __init__(self, file: TextIO, before: Notes) -> None:
        self._file = file
        self.before = before
        # All prunes of a host are one holder, since only one is at work; and what a dead one left is known until it is
        # dealt with, however often that is put off.
        self._notes = Notes(before.owner or new_owner(), before.run, list(before.made))
        self._write()

    @property
    def owner(self) -> str:
        """What names this host's prunes in their lease."""
        return self._notes.owner

    @property
    def left_over(self) -> frozenset[bytes]:
        """Packs that earlier prunes made."""
        return frozenset(bytes.fromhex(pack) for pack in self.before.made)

    def note_run(self, name: str) -> None:
        """This prune's run is registered under this name."""
        self._notes.run = name
        self._write()

    def note_pack(self, pack: bytes) -> None:
        """This prune is about to store a pack."""
        self._notes.made.append(pack.hex())
        self._write()

    def forget_packs(self) -> None:
        """None of them is left over. Lease and run are not ended yet."""
        self._notes.made = []
        self._write()

    def _write(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        json.dump({"owner": self._notes.owner, "run": self._notes.run, "made": self._notes.made}, self._file)
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def only_prune(directory: Path) -> Iterator[LocalNotes]:
    """Be the only prune of this host; ``LockedError`` while another process is."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / FILE).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                "another prune of this repository is running on this host", hint="Let it finish: it does the same."
            ) from None
        file.seek(0)
        yield LocalNotes(file, _parsed(file.read()))


def end_run(repository: Repository, notes: Notes) -> None:
    """Say of the last prune's run that it failed, so that nobody waits for it."""
    if not notes.run:
        return
    try:
        close_record(repository, notes.run)
    except (ObjectMissingError, DamagedObjectError, TamperedError, WrongKeyError):
        return  # somebody removed it, or made it useless: it is waited for as long as for any other


def _parsed(text: str) -> Notes:
    """What was noted; nothing where a crash left half of it."""
    try:
        fields = json.loads(text or "{}")
        made = [bytes.fromhex(pack).hex() for pack in fields.get("made", ())]
        return Notes(str(fields.get("owner", "")), str(fields.get("run", "")), made)
    except (AttributeError, TypeError, ValueError):
        return Notes()
