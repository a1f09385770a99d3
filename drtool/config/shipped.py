"""What comes with drtool for operators to read, choose from and edit: ``retention/``, ``cron/``."""

from __future__ import annotations

from pathlib import Path

import drtool
from drtool.errors import ConfigError


def shipped_folder(name: str) -> Path:
    """A folder of the installed package, else of the checkout that drtool is run from."""
    package = Path(drtool.__file__).parent
    for folder in (package / "shipped" / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise ConfigError(
        f"the folder {name} that comes with drtool is missing",
        hint="drtool seems to be installed only in part: install it again with pip.",
    )
