"""The source contract, kept by Milvus Lite."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from drtool.errors import UnreachableError
from drtool.sources.base import Source
from drtool.sources.milvus import MilvusSource
from drtool.sources.milvus.address import Address
from drtool.sources.reading import Consistency
from tests.sources.contract import Harness, SourceContract
from tests.sources.milvus import zoo

pytestmark = pytest.mark.heavy


@dataclass
class MilvusHarness:
    """A copy of the `original`."""

    path: Path
    original: Path
    splits = False
    has_versions = False

    def source(self, *, part_bytes: int | None = None) -> Source:
        """See ``Harness``."""
        return MilvusSource("milvus", address=Address(str(self.path)))

    def fill(self) -> None:
        """See ``Harness``."""
        shutil.copytree(self.original, self.path, dirs_exist_ok=True)

    def change(self) -> None:
        """See ``Harness``."""
        raise NotImplementedError

    def listing(self) -> Mapping[str, Sequence[bytes] | None]:
        """See ``Harness``."""
        with closing(zoo.connect(self.path)) as connection:
            return zoo.listing(connection.client)

    def nowhere(self) -> Source:
        """See ``Harness``."""
        return MilvusSource("milvus", address=Address("http://127.0.0.1:1"))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Filled once."""
    path = tmp_path_factory.mktemp("original") / "test.db"
    with closing(zoo.connect(path)) as connection:
        zoo.fill(connection.client)
    return path


class TestMilvusContract(SourceContract):
    """The suite on the real engine."""

    @pytest.fixture
    def harness(self, tmp_path_factory: pytest.TempPathFactory, original: Path) -> Harness:
        path = tmp_path_factory.mktemp("milvus") / "test.db"
        with closing(zoo.connect(path)):  # an empty one
            pass
        return MilvusHarness(path, original)

    def test_an_exact_view_stands_still(self, harness: Harness) -> None:
        """Nobody changes what lies below a view: the engine locks it for the one process that has it open."""
        assert isinstance(harness, MilvusHarness)
        with (
            closing(harness.source()) as source,
            closing(source.prepare(None)) as prepared,
            closing(prepared.freeze()) as view,
        ):
            assert source.probe().consistency is Consistency.EXACT
            assert view.settle().consistency is Consistency.EXACT
            opened = subprocess.run(
                [sys.executable, "-c", _OPEN, str(harness.path)], check=False, capture_output=True, text=True
            )
            assert opened.stdout.strip() == "refused", opened.stderr
        opened = subprocess.run(
            [sys.executable, "-c", _OPEN, str(harness.path)], check=False, capture_output=True, text=True
        )
        assert opened.stdout.strip() == "opened", opened.stderr


#: What another process does, with drtool's own connection.
_OPEN = f"""
import sys
from drtool.errors import {UnreachableError.__name__}
from drtool.sources.milvus.address import Address
from drtool.sources.milvus.connection import Connection
try:
    Connection(Address(sys.argv[1])).close()
    print("opened")
except UnreachableError as error:
    assert "in use by another process" in error.message and error.hint, error
    print("refused")
"""
