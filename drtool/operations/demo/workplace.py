"""The demonstration's directory: everything that it writes is in there, and goes with it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drtool.config.environment import escape
from drtool.config.loading import load_config
from drtool.config.root import Config
from drtool.errors import UsageError
from drtool.operations.demo.application import DATABASE
from drtool.operations.demo.companions import COLLECTION, Companions
from drtool.operations.demo.steps import Check

SOURCE = "app"
VECTORS = "vectors"
SETTINGS = "settings"
JOB = "nightly"
#: The kept configuration needs an address; the server of the demonstration has ended by then.
_ELSEWHERE = "mongodb://127.0.0.1:27017/"
_COMMENT = """\
# The configuration of a `drtool demo` run. Its server has ended; the repository and the keys work as ever.
# In earnest, identity.key would not lie beside agent.key: whoever has it can read every backup.
"""


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where things are. ``backup_host`` and ``safe`` stand for the two places where the keys would be."""

    root: Path

    @property
    def server(self) -> Path:
        """The embedded server's directory is made in here."""
        return self.root / "server"

    @property
    def companions(self) -> Companions:
        """What stands beside the server's database."""
        return Companions(self.root / "application" / "vectors", self.root / "application" / "settings")

    @property
    def repository(self) -> Path:
        """The repository."""
        return self.root / "repository"

    @property
    def agent_key(self) -> Path:
        """What a backup host holds."""
        return self.root / "backup-host" / "agent.key"

    @property
    def identity(self) -> Path:
        """What reads the data back."""
        return self.root / "safe" / "identity.key"

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.root / "drtool.yaml"

    def configure(self, mongod: Path) -> Config:
        """Write the configuration and read it as any command does; state and cache stay in here too."""
        import yaml

        content = {
            "repository": {
                "url": "repository",
                "agent_key": {"file": str(self.agent_key.relative_to(self.root))},
                "identity": {"file": str(self.identity.relative_to(self.root))},
                "state_dir": "state",
                "cache_dir": "cache",
            },
            "sources": {
                SOURCE: {
                    "type": "mongodb",
                    "uri": _ELSEWHERE,
                    "databases": [DATABASE],
                    "mongod": escape(str(mongod)),
                },
                VECTORS: {"type": "qdrant", "edge": "application/vectors"},
                SETTINGS: {"type": "files", "paths": ["application/settings"]},
            },
            "jobs": {JOB: {"sources": [SOURCE, VECTORS, SETTINGS]}},
            "relations": [
                {
                    "name": "every vector has its document",
                    "every": f"{VECTORS}.{COLLECTION}.payload.doc_id",
                    "exists_in": f"{SOURCE}.{DATABASE}.documents._id",
                    "as": "objectid",
                },
                {
                    "name": "as many vectors as documents",
                    "count": f"{VECTORS}.{COLLECTION}",
                    "equals": f"{SOURCE}.{DATABASE}.documents",
                },
            ],
        }
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        self.config.write_text(_COMMENT + text, encoding="utf-8")
        return load_config(self.config)

    def check_left(self, *, keep: bool) -> Check:
        """Is nothing left afterwards, or what was to be kept?"""
        there = sorted(path.name for path in self.root.iterdir()) if self.root.exists() else []
        held = f"{self.root} holds {', '.join(there)}" if there else f"nothing is left in {self.root}"
        if not keep:
            return Check("nothing-left", not there, held)
        kept_parts = (self.config, self.repository, self.agent_key.parent, self.identity.parent)
        wanted = {"application", *(path.name for path in kept_parts)}
        return Check("kept", wanted <= set(there), held)


@contextlib.contextmanager
def workplace(directory: Path | None, *, keep: bool) -> Iterator[Workplace]:
    """`directory` (new, or empty), else a new temporary one; emptied and removed at the end unless it is kept.

    A directory that was there before stays, empty. ``UsageError`` where it cannot be used.
    """
    root, ours = (Path(tempfile.mkdtemp(prefix="drtool-demo-")), True) if directory is None else _claimed(directory)
    try:
        place = Workplace(root)
        for directory_within in (place.server, place.agent_key.parent, place.identity.parent):
            directory_within.mkdir(mode=0o700)
        place.repository.mkdir(mode=0o700)
        yield place
    finally:
        if keep:
            shutil.rmtree(root / "server", ignore_errors=True)
        else:
            _clear(root, whole=ours)


def _claimed(directory: Path) -> tuple[Path, bool]:
    """The directory, absolute, and whether it is new."""
    root = directory.expanduser().absolute()
    try:
        root.mkdir(mode=0o700)
    except FileExistsError:
        if not root.is_dir() or any(root.iterdir()):
            raise UsageError(
                f"--dir {directory}: " + ("is not empty" if root.is_dir() else "is not a directory"),
                hint="Name a directory that is empty or does not exist; without --dir, a temporary one is used.",
            ) from None
        return root, False
    except OSError as error:
        raise UsageError(f"--dir {directory}: {error.strerror}", hint="Its parent must be there, and yours.") from error
    return root, True


def _clear(root: Path, *, whole: bool) -> None:
    if whole:
        shutil.rmtree(root)
        return
    for path in root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
