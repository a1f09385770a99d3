"""The tools that do the same job today, as far as they are installed.

Where there is no mongodump, a plain reader feeds the others: then the figures say what compressing, encrypting and
storing cost them, and the table says so.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from shutil import which

from tests.bench import workload
from tests.bench.drtools import drain_command
from tests.bench.measure import FailedError, Measured
from tests.bench.place import RESTORED, Contestant, Part, Place

_WORKERS = 4


def installed() -> Iterator[Callable[[Place], Contestant]]:
    """Those that can be measured here."""
    if can_seal():
        yield Piped
    if which("restic"):
        yield Restic
    if which("mongodump") and which("mongorestore"):
        yield Mongorestore


def missing() -> list[str]:
    """The programs that are not installed, and so not compared with."""
    return [name for name in ("mongodump", "mongorestore", "zstd", "age", "age-keygen", "restic") if not which(name)]


def can_seal() -> bool:
    """Is there what `sealing` needs?"""
    return all(which(name) for name in ("zstd", "age", "age-keygen"))


def new_recipient() -> str:
    """The public half of a new key of age."""
    done = subprocess.run(["age-keygen"], check=True, capture_output=True, text=True)
    found = re.search(r"age1[a-z0-9]+", done.stdout)
    if found is None:
        raise FailedError("age-keygen names no public key")
    return found[0]


def sealing(recipient: str) -> list[list[str]]:
    """The commands of a pipeline that compress and encrypt: ``zstd -1 -T0 | age``."""
    return [["zstd", "-1", "-T0", "-q", "-c"], ["age", "-r", recipient]]


def _feed() -> str:
    return "mongodump" if which("mongodump") else "plain reader"


def _feeding(place: Place) -> list[str]:
    """The command that writes the database to its standard output."""
    if which("mongodump"):
        return ["mongodump", "--quiet", f"--uri={place.server.uri}", f"--db={workload.DATABASE}", "--archive"]
    return drain_command(place, "--out")


class Piped:
    """``mongodump --archive | zstd -1 -T0 | age``."""

    def __init__(self, place: Place) -> None:
        self.name = f"{_feed()} | zstd -1 -T0 | age"
        self._place = place
        self._recipient = ""
        self.parts: Mapping[str, Part] = {"first": self._backup}

    def begin(self) -> None:
        """A new key."""
        self._place.empty()
        self._recipient = new_recipient()

    def _backup(self) -> Measured:
        pipeline = [_feeding(self._place), *sealing(self._recipient)]
        return self._place.run(*pipeline, stdout=self._place.directory / "dump.age")


class Restic:
    """``mongodump --archive | restic backup --stdin``."""

    def __init__(self, place: Place) -> None:
        self.name = f"{_feed()} | restic"
        self._place = place
        self._command = ["restic", "--repo", "repository", "--cache-dir", "cache", "--quiet"]
        self._has_snapshot = False
        self.parts: Mapping[str, Part] = {"first": self._first, "second": self._second}

    def begin(self) -> None:
        """An empty repository."""
        self._place.empty()
        self._place.run([*self._command, "init"])
        self._has_snapshot = False

    def _first(self) -> Measured:
        self._has_snapshot = True
        return self._place.run(_feeding(self._place), [*self._command, "backup", "--stdin"])

    def _second(self) -> Measured:
        if not self._has_snapshot:
            self._first()
        return self._first()


class Mongorestore:
    """``mongorestore`` from a plain archive, which spares it decrypting and unpacking."""

    def __init__(self, place: Place) -> None:
        self.name = f"mongorestore, {_WORKERS} workers, plain archive"
        self._place = place
        self.parts: Mapping[str, Part] = {"restore": lambda: place.restore(self._restore)}

    def begin(self) -> None:
        """Nothing until there is something to restore."""
        self._place.empty()

    @property
    def _archive(self) -> Path:
        return self._place.directory / "dump.archive"

    def _restore(self) -> Measured:
        if not self._archive.exists():
            self._place.run(_feeding(self._place), stdout=self._archive)
        return self._place.run(
            [
                *("mongorestore", "--quiet", f"--uri={self._place.server.uri}", f"--archive={self._archive}"),
                *(f"--nsFrom={workload.DATABASE}.*", f"--nsTo={RESTORED}.*"),
                f"--numInsertionWorkersPerCollection={_WORKERS}",
            ]
        )
