"""Paths in a configuration: ``~`` is the home directory, and relative ones belong to the file's directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

DIRECTORY = "directory"
"""The validation context's entry with the (absolute) directory of the configuration file."""


def resolve(path: str | Path, info: ValidationInfo) -> Path:
    """`path` as an absolute one; ``ValueError`` where there is no such user (``~user``)."""
    base = (info.context or {}).get(DIRECTORY, Path.cwd())
    try:
        expanded = Path(path).expanduser()
    except RuntimeError:
        raise ValueError("there is no such home directory") from None
    return Path(os.path.normpath(base / expanded))


ConfigPath = Annotated[Path, AfterValidator(resolve)]
"""A path, made absolute."""
