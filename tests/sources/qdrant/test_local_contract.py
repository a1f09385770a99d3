"""The source contract, kept by qdrant-client's local mode."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from drtool.sources.base import Source
from drtool.sources.qdrant import QdrantSource
from drtool.sources.qdrant.addresses import Address, Kind
from tests.sources.contract import Harness, SourceContract

pytest.importorskip("qdrant_client")

from tests.sources.qdrant import local_mode


@dataclass
class LocalHarness:
    """A directory of local mode."""

    directory: Path
    filled: Path
    splits = False
    has_versions = True

    def source(self, *, part_bytes: int | None = None) -> Source:
        """See ``Harness``."""
        return QdrantSource("vectors", Address(Kind.LOCAL, str(self.directory)))

    def fill(self) -> None:
        """See ``Harness``."""
        shutil.copytree(self.filled, self.directory, dirs_exist_ok=True)

    def change(self) -> None:
        """See ``Harness``."""
        local_mode.change(self.directory)

    def listing(self) -> Mapping[str, Sequence[bytes] | None]:
        """See ``Harness``."""
        return local_mode.listing(self.directory)

    def nowhere(self) -> Source:
        """See ``Harness``."""
        return QdrantSource("vectors", Address(Kind.LOCAL, str(self.directory / "nowhere")))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory to be copied: filling it is slower."""
    directory = tmp_path_factory.mktemp("filled")
    local_mode.fill(directory)
    return directory


class TestLocalContract(SourceContract):
    """The suite on the real client."""

    @pytest.fixture
    def harness(self, filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Harness:
        directory = tmp_path_factory.mktemp("local")
        (directory / "meta.json").write_text('{"collections": {}, "aliases": {}}', encoding="utf-8")
        return LocalHarness(directory, filled)
