"""Records in a private file."""

from __future__ import annotations

from pathlib import Path

import pytest

from drtool.errors import SourceError
from drtool.sources.vectors.records import encode_item
from drtool.sources.vectors.spooling import Spool


def test_what_was_added_is_read_again_and_again(tmp_path: Path) -> None:
    records = [encode_item(f"{number}", {"n": "x" * number}) for number in range(50)]
    spool = Spool(tmp_path / "spool")
    spool.add(records[:20])
    spool.add([])
    spool.add(iter(records[20:]))
    spool.close()
    expected = [(key, bytes(data)) for key, data in records]
    both = zip(spool, spool, strict=True)
    assert [(one[0], bytes(one[1])) for one, other in both if one == other] == expected
    assert spool.records == 50


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "spool").symlink_to("/dev/full")
    spool = Spool(tmp_path / "spool")
    with pytest.raises(SourceError, match="No space left") as caught:
        spool.add([encode_item("a", {"n": "x" * 1_000_000})])
    assert "TMPDIR" in caught.value.hint
    with pytest.raises(SourceError, match="No such file"):
        Spool(tmp_path / "none" / "spool")
