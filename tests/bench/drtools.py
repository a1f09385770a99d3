"""drtool as a contestant, and the ceiling that reading alone sets for it."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from tests.bench import workload
from tests.bench.measure import Measured
from tests.bench.place import RESTORED, Part, Place


def command(*arguments: str) -> list[str]:
    """drtool's command line."""
    return [sys.executable, "-m", "drtool", *arguments]


def set_up(place: Place, database: str) -> None:
    """An empty repository, and a job that backs up `database` to it."""
    place.empty()
    place.directory.joinpath("drtool.yaml").write_text(
        "repository: {url: repository, agent_key: {file: agent.key}, identity: {file: identity.key},"
        " state_dir: state, cache_dir: cache}\n"
        f"sources: {{app: {{type: mongodb, uri: '{place.server.uri}', databases: [{database}]}}}}\n"
        "jobs: {nightly: {sources: [app]}}\n",
        encoding="utf-8",
    )
    place.run(command("init", "--identity-out", "identity.key"))


class Drtool:
    """drtool with a repository in a directory."""

    name = "drtool"

    def __init__(self, place: Place) -> None:
        self._place = place
        self._has_snapshot = False
        self.parts: Mapping[str, Part] = {
            "first": self._first,
            "second": lambda: self._on_snapshot("backup"),
            "restore": lambda: place.restore(self._restore),
            "intact": lambda: self._on_snapshot("verify", "latest", "--level", "intact"),
            "readable": lambda: self._on_snapshot("verify", "latest", "--level", "readable"),
            "restored": lambda: self._on_snapshot("verify", "latest", "--level", "restored"),
        }

    def begin(self) -> None:
        """An empty repository."""
        self._has_snapshot = False
        set_up(self._place, workload.DATABASE)

    def _first(self) -> Measured:
        self._has_snapshot = True
        return self._run("backup")

    def _restore(self) -> Measured:
        return self._on_snapshot("restore", "latest", "--rename", f"{workload.DATABASE}={RESTORED}")

    def _on_snapshot(self, *arguments: str) -> Measured:
        if not self._has_snapshot:
            self._first()
        return self._run(*arguments)

    def _run(self, *arguments: str) -> Measured:
        return self._place.run(command(*arguments))


class Drain:
    """Reading alone."""

    name = "reading alone (drtool's cursors)"

    def __init__(self, place: Place) -> None:
        self._place = place
        self.parts: Mapping[str, Part] = {"first": self._drain, "second": self._drain}

    def begin(self) -> None:
        """Nothing is kept."""
        self._place.empty()

    def _drain(self) -> Measured:
        return self._place.run(drain_command(self._place))


def drain_command(place: Place, *options: str) -> list[str]:
    """The command that reads everything."""
    return [sys.executable, "-m", "tests.bench.drain", place.server.uri, workload.DATABASE, *options]
