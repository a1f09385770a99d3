"""The source contract, kept by Qdrant's embedded engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from drtool.sources.base import Source
from drtool.sources.qdrant import QdrantSource
from drtool.sources.qdrant.addresses import Address, Kind
from drtool.sources.qdrant.copying import copy_tree
from tests.sources.contract import Harness, SourceContract

pytest.importorskip("qdrant_edge")

from tests.sources.qdrant import shards


@dataclass
class EdgeHarness:
    """A directory of shards."""

    directory: Path
    filled: Path
    splits = False
    has_versions = True

    def source(self, *, part_bytes: int | None = None) -> Source:
        """See ``Harness``."""
        return QdrantSource("vectors", Address(Kind.EDGE, str(self.directory)))

    def fill(self) -> None:
        """See ``Harness``."""
        for shard in self.filled.iterdir():
            copy_tree(shard, self.directory / shard.name)

    def change(self) -> None:
        """See ``Harness``."""
        shards.change(self.directory)

    def listing(self) -> Mapping[str, Sequence[bytes] | None]:
        """See ``Harness``."""
        return shards.listing(self.directory)

    def nowhere(self) -> Source:
        """See ``Harness``."""
        return QdrantSource("vectors", Address(Kind.EDGE, str(self.directory / "nowhere")))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory to be copied: filling it is slower."""
    directory = tmp_path_factory.mktemp("filled")
    shards.fill(directory)
    return directory


class TestEdgeContract(SourceContract):
    """The suite on the real engine."""

    @pytest.fixture
    def harness(self, filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Harness:
        return EdgeHarness(tmp_path_factory.mktemp("shards"), filled)
