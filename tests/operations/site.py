"""A host with drtool on it: configuration, keys and local state in a directory, and commands that are run there."""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from pymongo import MongoClient

from drtool.cli.main import run
from drtool.config.loading import load_config
from drtool.operations.init import init
from drtool.operations.opening import repository_of
from drtool.repository.repository import Repository
from drtool.storage.locate import open_storage
from tests.cli.running import Ended, environment
from tests.sources.mongo import Client

SMALL_PACK = 1024 * 1024


@dataclass(frozen=True)
class Site:
    """Where drtool runs. `jobs` maps jobs to the databases that each backs up, by a source of the job's name."""

    directory: Path
    uri: str
    jobs: Mapping[str, tuple[str, ...]]
    url: str = ""
    repository: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    has_identity: bool = True
    has_agent: bool = True
    keys: Path | None = None

    @property
    def store(self) -> Path:
        """The repository's directory, where it lives in one."""
        return Path(self.url) if self.url else self.key_directory / "repo"

    @property
    def key_directory(self) -> Path:
        """Where agent.key and identity.key lie."""
        return self.keys or self.directory

    @property
    def config(self) -> Path:
        """The configuration's path."""
        return self.directory / "drtool.yaml"

    def set_up(self) -> Site:
        """Make the repository and write the configuration."""
        settings = {key: value for key, value in self.repository.items() if key in ("endpoint_url", "ca_bundle")}
        with contextlib.closing(open_storage(self.url or str(self.store), **settings)) as storage:
            init(storage, agent_key=self.key_directory / "agent.key", identity=self.key_directory / "identity.key")
        return self.write_config()

    def write_config(self) -> Site:
        """Write the configuration."""
        repository: dict[str, Any] = {
            "url": self.url or str(self.store),
            "state_dir": str(self.directory / "state"),
            "cache_dir": str(self.directory / "cache"),
            **self.repository,
        }
        if self.has_agent:
            repository["agent_key"] = {"file": str(self.key_directory / "agent.key")}
        if self.has_identity:
            repository["identity"] = {"file": str(self.key_directory / "identity.key")}
        sources = {
            job: {"type": "mongodb", "uri": self.uri, "databases": list(databases)}
            for job, databases in self.jobs.items()
        }
        content = {
            "repository": repository,
            "sources": sources,
            "jobs": {job: {"sources": [job]} for job in self.jobs},
            "limits": dict(self.limits),
        }
        self.config.write_text(yaml.safe_dump(content))
        return self

    def elsewhere(self, name: str, **changes: Any) -> Site:
        """Another host for the same repository: own configuration and state."""
        directory = self.directory / name
        directory.mkdir()
        url = self.url or str(self.store)
        made = replace(self, directory=directory, keys=self.key_directory, url=url)
        return replace(made, **changes).write_config()

    def copied(self, to: Path) -> Site:
        """The same host once more, with a repository of its own that holds the same."""
        shutil.copytree(self.directory, to, dirs_exist_ok=True)
        return replace(self, directory=to).write_config()

    def drtool(self, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
        """Run a command in this process, with ``--json``."""
        return drtool("--config", str(self.config), "--json", *arguments, cwd=self.directory, env=env)

    def told(self, *arguments: str) -> Ended:
        """Run a command in this process, for people."""
        return drtool("--config", str(self.config), *arguments, cwd=self.directory)

    def ok(self, *arguments: str) -> list[dict[str, Any]]:
        """Run a command that must succeed; its lines, the result last."""
        ended = self.drtool(*arguments)
        assert ended.code == 0, ended.out + ended.err
        return ended.lines

    def backup(self, *arguments: str) -> dict[str, Any]:
        """Back up; the line of the last job."""
        line = self.ok("backup", *arguments)[-2]
        assert line["type"] == "backup"
        return line

    def snapshots(self) -> list[str]:
        """The ids of all snapshots, oldest first."""
        return [line["snapshot"] for line in self.ok("snapshots")[:-1]]

    def objects(self, kind: str) -> list[Path]:
        """The files below one directory of the repository."""
        return sorted(path for path in (self.store / kind).rglob("*") if path.is_file())

    @contextlib.contextmanager
    def opened(self, *, reads_data: bool = False) -> Iterator[Repository]:
        """The repository, for tests that look into it."""
        with repository_of(load_config(self.config).repository, reads_data=reads_data) as repository:
            repository.refresh_index()
            yield repository


def drtool(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Ended:
    """Run the command line in this process, as in `cwd` and without a terminal."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, environment(env), clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = run(arguments)
    return Ended(int(code), out.getvalue(), err.getvalue())


def small_packs() -> contextlib.AbstractContextManager[Any]:
    """Inside, packs are small and indexed often, so that little data makes many of them."""
    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch("drtool.repository.packs.PACK_BYTES", SMALL_PACK))
    stack.enter_context(mock.patch("drtool.repository.storing.PACKS_PER_INDEX", 2))
    return stack


def helped() -> contextlib.AbstractContextManager[Any]:
    """Inside, helpers read first backups of little data, too."""
    return mock.patch("drtool.operations.backup.rounds._WORTH_HELP", 0)


def fill(client: Client, database: str, *, megabytes: float = 0.2, collections: int = 2, seed: int = 1) -> None:
    """Records that do not compress, evenly over the collections ``c0``, ``c1``, …"""
    chance = random.Random(f"{database} {seed}")
    each = 8000
    for number in range(collections):
        count = max(1, int(megabytes * 1e6 / collections / each))
        client[database][f"c{number}"].insert_many(
            [{"_id": i, "x": chance.randbytes(each), "n": i % 7} for i in range(count)]
        )


def hashes(client: Client, database: str) -> dict[str, str]:
    """The server's own digest of every collection."""
    found: dict[str, str] = client[database].command("dbHash")["collections"]
    return found


def connect(uri: str) -> Client:
    """A client."""
    return MongoClient(uri)


def flip(path: Path, at: float = 0.5) -> None:
    """Change one byte, at this share of the file."""
    data = bytearray(path.read_bytes())
    data[min(len(data) - 1, int(len(data) * at))] ^= 0x40
    path.write_bytes(data)


def truncate(path: Path) -> None:
    """Cut a file in half."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def swap(one: Path, other: Path) -> None:
    """Let two files trade their contents."""
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
