"""Where drtool keeps things by default, after the XDG base directory specification, and where it looks for its
configuration."""

from __future__ import annotations

import os
from pathlib import Path

from drtool.errors import ConfigError

FILE_NAME = "drtool.yaml"
VARIABLE = "DRTOOL_CONFIG"


def state_home() -> Path:
    """Where local state lives: ``$XDG_STATE_HOME/drtool``, else ``~/.local/state/drtool``."""
    return _base("XDG_STATE_HOME", ".local/state") / "drtool"


def cache_home() -> Path:
    """Where what can be made again lives: ``$XDG_CACHE_HOME/drtool``, else ``~/.cache/drtool``."""
    return _base("XDG_CACHE_HOME", ".cache") / "drtool"


def config_home() -> Path:
    """Where a user's configuration lives: ``$XDG_CONFIG_HOME/drtool``, else ``~/.config/drtool``."""
    return _base("XDG_CONFIG_HOME", ".config") / "drtool"


def find_config(named: Path | None = None) -> Path:
    """The configuration to use: `named`, ``$DRTOOL_CONFIG``, or the first that exists of the usual places.

    ``ConfigError`` where there is none; what was named is not looked for elsewhere.
    """
    if named is not None:
        return _existing(named, "--config names it")
    variable = os.environ.get(VARIABLE)
    if variable:
        return _existing(Path(variable), f"${VARIABLE} names it")
    places = usual_places()
    for place in places:
        if _is_file(place):
            return place
    looked = ", ".join(str(place if place.is_absolute() else f"./{place}") for place in places)
    raise ConfigError(
        f"there is no configuration: looked for {looked}",
        hint=f"Make one with: drtool init (or name one with --config FILE or ${VARIABLE})",
    )


def usual_places(named: Path | None = None) -> tuple[Path, ...]:
    """Where `find_config` looks, whether there is something or not."""
    variable = os.environ.get(VARIABLE)
    if named is not None or variable:
        return (named or Path(variable or ""),)
    return (Path(FILE_NAME), config_home() / FILE_NAME, Path("/etc/drtool") / FILE_NAME)


def _existing(path: Path, why: str) -> Path:
    if _is_file(path):
        return path
    state = "is not a file" if path.exists() else "does not exist"
    raise ConfigError(f"the configuration {path} {state} ({why})")


def _base(variable: str, default: str) -> Path:
    value = Path(os.environ.get(variable, ""))
    # The specification has relative values ignored.
    return value if value.is_absolute() else Path.home() / default


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise ConfigError(f"cannot look for the configuration {path}: {error.strerror}") from None
