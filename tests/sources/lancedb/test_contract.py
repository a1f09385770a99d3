"""The source contract, kept by LanceDB."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from drtool.sources.base import Source
from drtool.sources.lancedb import LanceSource
from drtool.sources.lancedb.records import PART_BYTES as RECORD_BYTES
from drtool.sources.lancedb.records import Part, encode
from drtool.sources.lancedb.view import PART_BYTES
from tests.sources.contract import Harness, SourceContract
from tests.sources.lancedb import zoo

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore:optimize.cleanup_older_than=0")]


@dataclass
class LanceHarness:
    """A database in a directory, filled from the `original`."""

    path: Path
    original: Path
    splits = True
    has_versions = True

    def source(self, *, part_bytes: int | None = None) -> Source:
        """See ``Harness``."""
        return LanceSource("lance", path=self.path, part_bytes=PART_BYTES if part_bytes is None else part_bytes)

    def fill(self) -> None:
        """See ``Harness``."""
        shutil.copytree(self.original, self.path, dirs_exist_ok=True)

    def change(self) -> None:
        """See ``Harness``."""
        database = zoo.connect(self.path)
        table = database.open_table("docs")
        table.delete("id > 2000")
        table.add(zoo.documents(5000, 10).append_column("double", [list(range(10))]))
        table.update(where="id = 40", values={"text": "changed again"})
        database.create_table("new", zoo.documents(0, 1))

    def listing(self) -> Mapping[str, Sequence[bytes] | None]:
        """See ``Harness``: all files but those of older versions."""
        return {
            table.name.removesuffix(".lance"): [
                record for file in zoo.needed(table) for record in _records(table, file)
            ]
            for table in self.path.glob("*.lance")
        }

    def nowhere(self) -> Source:
        """See ``Harness``."""
        return LanceSource("lance", path=self.path / "nowhere")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Filled once."""
    path = tmp_path_factory.mktemp("original")
    zoo.fill(path)
    return path


class TestLanceContract(SourceContract):
    """The suite on the real engine."""

    @pytest.fixture
    def harness(self, tmp_path_factory: pytest.TempPathFactory, original: Path) -> Harness:
        return LanceHarness(tmp_path_factory.mktemp("lance"), original)


def _records(table: Path, file: Path) -> list[bytes]:
    path, data = file.relative_to(table).as_posix(), file.read_bytes()
    return [
        bytes(encode(Part(path, at, len(data), data[at : at + RECORD_BYTES]))[1])
        for at in range(0, max(1, len(data)), RECORD_BYTES)
    ]
