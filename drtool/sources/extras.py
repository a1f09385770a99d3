"""Packages that only some sources need: an extra of drtool each, imported when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from drtool.errors import MissingToolError


def require(module: str, extra: str) -> Any:
    """The module, typed by nobody. ``MissingToolError``, with the command that installs it, where it is not there or
    does not load."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingToolError(
            f"{module}, which this needs, cannot be imported: {error}",
            hint=f"Install it: pip install 'drtool[{extra}]'",
        ) from error
