"""The README's table of sources is what the code says, and leaves no type out."""

from __future__ import annotations

import re

from drtool.config.sources import BUILT_IN
from drtool.sources.support import SUPPORT, table
from tests.cli.running import ROOT

_TABLE = re.compile(r"<!-- sources -->\n(.*?)<!-- /sources -->", re.DOTALL)


def test_the_readme_has_the_table() -> None:
    [found] = _TABLE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert found == "".join(f"{line}\n" for line in table())


def test_every_type_has_a_row() -> None:
    assert SUPPORT.keys() == BUILT_IN.keys()
    assert all(type_ == one.type for type_, one in SUPPORT.items())
