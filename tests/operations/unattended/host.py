"""A host with drtool on it that backs up a directory: nothing but files, so that a test of it is quick."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from drtool.config.loading import load_config
from drtool.monitoring.audit_log import AuditLog
from drtool.operations.unattended.auditing.place import Place
from tests.cli.running import Ended
from tests.operations.site import drtool


@dataclass(frozen=True)
class Host:
    """``directory`` holds configuration, keys and local state; ``store`` is the repository."""

    directory: Path
    store: Path
    has_identity: bool = True

    @property
    def config(self) -> Path:
        """The configuration's path."""
        return self.directory / "drtool.yaml"

    def set_up(self) -> Host:
        """Make what is backed up, the repository, and the configuration."""
        (self.directory / "code").mkdir(parents=True)
        (self.directory / "code" / "main").write_text("exit 0")
        self.write_config()
        assert self.drtool("init", "--identity-out", str(self.directory / "identity.key")).code == 0
        return self

    def write_config(self, **settings: Any) -> None:
        """Write the configuration, with `settings` of ``repository`` beside the usual ones."""
        repository: dict[str, Any] = {
            "url": str(self.store),
            "agent_key": {"file": "agent.key"},
            "state_dir": "state",
            "cache_dir": "cache",
            **({"identity": {"file": "identity.key"}} if self.has_identity else {}),
            **settings,
        }
        content = {
            "repository": repository,
            "sources": {"code": {"type": "files", "paths": [str(self.directory / "code")]}},
            "jobs": {"nightly": {"sources": ["code"]}},
        }
        self.config.write_text(yaml.safe_dump(content))

    def drtool(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        """Run a command in this process, with ``--json``."""
        return drtool("--config", str(self.config), "--json", *arguments, cwd=self.directory, env=env)

    def ok(self, *arguments: str) -> list[dict[str, Any]]:
        """Run a command that must succeed; its lines, the result last."""
        ended = self.drtool(*arguments)
        assert ended.code == 0, ended.out + ended.err
        return ended.lines

    def told(self, *arguments: str) -> list[dict[str, Any]]:
        """What ``audit show`` tells."""
        return [line for line in self.ok("audit", "show", *arguments) if line["type"] == "audit"]

    def commands(self, *arguments: str) -> list[tuple[str, str]]:
        """Command and state of each of those."""
        return [(line["command"], line["state"]) for line in self.told(*arguments)]

    def findings(self, *arguments: str, code: int = 4) -> set[str]:
        """The kinds of what ``audit verify`` finds and nobody has accepted; it must end with `code`."""
        ended = self.drtool("audit", "verify", *arguments)
        assert ended.code == code, ended.out + ended.err
        return {problem["kind"] for problem in ended.result["problems"] if not problem["accepted"]}

    @property
    def audit_file(self) -> Path:
        """The log's file."""
        with self.audit_log() as log:
            return log.path

    @contextlib.contextmanager
    def audit_log(self) -> Iterator[AuditLog]:
        """The log."""
        with Place.of(load_config(self.config)).log() as log:
            yield log

    def parts(self) -> list[Path]:
        """The parts of audit logs in the repository, oldest first."""
        return sorted((self.store / "audit").iterdir(), key=lambda path: path.stat().st_mtime_ns)
