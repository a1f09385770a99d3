"""The source contract, kept by an embedded Chroma and by a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from drtool.sources.base import Source
from drtool.sources.chroma import ChromaSource
from drtool.sources.chroma.freezing import Selection
from tests.sources.chroma import zoo
from tests.sources.contract import Harness, SourceContract

pytestmark = pytest.mark.heavy
pytest.importorskip("chromadb")


@dataclass
class EmbeddedHarness:
    """A directory that the application has open."""

    directory: Path
    client: zoo.Client
    splits = False
    has_versions = True

    def source(self, *, part_bytes: int | None = None) -> Source:
        """See ``Harness``."""
        return ChromaSource("vectors", str(self.directory))

    def fill(self) -> None:
        """See ``Harness``."""
        zoo.fill(self.client)

    def change(self) -> None:
        """See ``Harness``."""
        zoo.change(self.client)

    def listing(self) -> Mapping[str, Sequence[bytes] | None]:
        """See ``Harness``."""
        return zoo.listing(self.client)

    def nowhere(self) -> Source:
        """See ``Harness``."""
        return ChromaSource("vectors", str(self.directory / "nothing"))


@dataclass
class ServerHarness:
    """A database on a server."""

    url: str
    database: str
    client: zoo.Client
    splits = False
    has_versions = True

    def source(self, *, part_bytes: int | None = None) -> Source:
        """See ``Harness``."""
        return ChromaSource("vectors", self.url, selection=Selection(databases=(self.database,)))

    def fill(self) -> None:
        """See ``Harness``."""
        zoo.fill(self.client)

    def change(self) -> None:
        """See ``Harness``."""
        zoo.change(self.client)

    def listing(self) -> Mapping[str, Sequence[bytes] | None]:
        """See ``Harness``."""
        return zoo.listing(self.client, f"default_tenant/{self.database}/")

    def nowhere(self) -> Source:
        """See ``Harness``."""
        return ChromaSource("vectors", "http://127.0.0.1:1")


class TestEmbeddedContract(SourceContract):
    """The suite on a directory."""

    @pytest.fixture
    def harness(self, embedded: tuple[Path, zoo.Client]) -> Harness:
        return EmbeddedHarness(*embedded)


class TestServerContract(SourceContract):
    """The suite on a server."""

    @pytest.fixture
    def harness(self, on_server: tuple[str, str, zoo.Client]) -> Harness:
        return ServerHarness(*on_server)
