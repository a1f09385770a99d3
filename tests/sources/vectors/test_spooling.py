"""Records in a private file."""

from __future__ import annotations

from pathlib import Path

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
