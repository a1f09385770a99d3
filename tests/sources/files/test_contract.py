"""The source contract, kept by trees of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from drtool.sources.base import Source
from drtool.sources.files import FilesSource
from tests.sources.contract import Harness, SourceContract
from tests.sources.files import zoo


@dataclass
class FilesHarness:
    """A tree and a single file."""

    root: Path
    splits = False
    has_versions = False

    @property
    def tree(self) -> Path:
        """The tree."""
        return self.root / "srv" / "app"

    @property
    def file(self) -> Path:
        """A file that is backed up by its name."""
        return self.root / "etc" / "app.conf"

    def source(self, *, part_bytes: int | None = None) -> Source:
        """See ``Harness``."""
        del part_bytes  # a tree is read in one part
        for path in (self.tree, self.file.parent):
            path.mkdir(parents=True, exist_ok=True)
        if not self.file.exists():
            self.file.touch()
        return FilesSource("code", paths=[self.tree, self.file])

    def fill(self) -> None:
        """See ``Harness``."""
        self.source()
        zoo.fill(self.tree)
        self.file.write_text("listen = 127.0.0.1\n")

    def change(self) -> None:
        """See ``Harness``."""
        zoo.change(self.tree)

    def listing(self) -> Mapping[str, Sequence[bytes] | None]:
        """See ``Harness``."""
        return {str(path): zoo.listing(path) for path in (self.tree, self.file)}

    def nowhere(self) -> Source:
        """See ``Harness``."""
        return FilesSource("code", paths=[self.root / "no" / "such"])


class TestFilesContract(SourceContract):
    """The suite on real files."""

    @pytest.fixture
    def harness(self, tmp_path_factory: pytest.TempPathFactory) -> Harness:
        return FilesHarness(tmp_path_factory.mktemp("files"))
