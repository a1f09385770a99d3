"""A host that backs up a directory into a directory: what goes with a run is as with a database, and quicker."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from drtool.config.loading import load_config
from drtool.config.root import Config
from drtool.operations.init import init
from drtool.operations.unattended.attending.records import ledger_of
from drtool.scheduling.ledger import RunRecord
from drtool.storage.locate import open_storage
from tests.cli.running import Ended
from tests.operations.site import drtool

#: A hook that writes down what it finds in its environment: one line a call.
NOTE = """
import json, os, sys
with open(sys.argv[1], "a") as file:
    file.write(json.dumps({name: value for name, value in os.environ.items() if name.startswith("DRTOOL_")}) + "\\n")
"""


@dataclass(frozen=True)
class AttendedHost:
    """Where drtool runs; the job ``nightly`` backs up the directory ``data``."""

    directory: Path

    @property
    def file(self) -> Path:
        """The configuration's path."""
        return self.directory / "drtool.yaml"

    @property
    def config(self) -> Config:
        """The configuration as it stands."""
        return load_config(self.file)

    def set_up(self) -> AttendedHost:
        """Make the repository, something to back up, and the configuration."""
        (self.directory / "data").mkdir()
        (self.directory / "data" / "file").write_text("content")
        with contextlib.closing(open_storage(str(self.directory / "repo"))) as storage:
            init(storage, agent_key=self.directory / "agent.key", identity=self.directory / "identity.key")
        return self.write()

    def write(self, nightly: Mapping[str, Any] | None = None, **more: Any) -> AttendedHost:
        """Write the configuration, with settings of the job ``nightly`` and further parts."""
        content: dict[str, Any] = {
            "repository": {
                "url": "repo",
                "state_dir": "state",
                "cache_dir": "cache",
                "agent_key": {"file": "agent.key"},
                "identity": {"file": "identity.key"},
            },
            "sources": {"code": {"type": "files", "paths": ["data"]}, **more.pop("sources", {})},
            "jobs": {"nightly": {"sources": ["code"], **(nightly or {})}, **more.pop("jobs", {})},
            **more,
        }
        self.file.write_text(yaml.safe_dump(content))
        return self

    def drtool(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        """Run a command in this process, with ``--json``."""
        return drtool("--config", str(self.file), "--json", *arguments, cwd=self.directory, env=env)

    def runs(self) -> list[RunRecord]:
        """What is on record, oldest first."""
        with ledger_of(self.config) as ledger:
            return ledger.runs()[::-1]

    def noting(self, name: str) -> list[str]:
        """A hook that writes its environment into a file of this name."""
        return [*python(NOTE), str(self.directory / name)]


def python(code: str) -> list[str]:
    """A hook of these lines."""
    return [sys.executable, "-c", code]
