"""From a type of source to its class."""

from __future__ import annotations

import tomllib

from drtool.config.sources import BUILT_IN as SETTINGS
from drtool.config.sources import ENTRY_POINTS
from drtool.operations.opening import BUILT_IN
from tests.cli.running import ROOT


def test_knows_the_types_that_the_package_offers() -> None:
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][ENTRY_POINTS]
    assert {type_: f"drtool.sources.{type_}:{name}" for type_, name in BUILT_IN.items()} == offered
    assert offered.keys() == SETTINGS.keys()
