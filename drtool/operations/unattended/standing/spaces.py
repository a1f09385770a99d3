"""How much room there is on the file systems that drtool writes to."""

from __future__ import annotations

import shutil
from pathlib import Path

from drtool.config.root import Config
from drtool.operations.unattended.standing.survey import Space


def spaces(config: Config) -> tuple[Space, ...]:
    """The room there is where drtool writes; of a repository where it is a directory."""
    settings = config.repository
    places = {"state": settings.state_dir, "cache": settings.cache_dir}
    if "://" not in settings.url:
        places = {"repository": Path(settings.url), **places}
    return tuple(found for place, path in places.items() if (found := _space(place, path)) is not None)


def _space(place: str, path: Path) -> Space | None:
    """Of the directory, or what is to hold it; None where nobody may look, or what is mounted there is dead."""
    for directory in (path, *path.parents):
        try:
            usage, device = shutil.disk_usage(directory), directory.stat().st_dev
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        except OSError:  # the store's own errors tell of it; what lies above the mount says nothing
            return None
        return Space(place, str(path), usage.free, usage.total, device)
    return None
