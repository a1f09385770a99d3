"""What an unattended drtool writes to: a service may touch nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from drtool.config.root import Config
from drtool.config.source_types.base import SourceSettings

#: Settings of sources that name a store which is opened where it lies, and may have to be locked there.
_EMBEDDED = ("path", "edge")
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - nothing is put there by these names


def kept_by(config: Config) -> tuple[Path, Path]:
    """The directories that drtool keeps for itself: state and cache."""
    return config.repository.state_dir, config.repository.cache_dir


def writable(config: Config, further: Iterable[Path] = ()) -> list[Path]:
    """All of it, and `further`; each once, and none that lies in another."""
    stores = stores_of(config.sources.values())
    found = sorted({*kept_by(config), *_TEMPORARY, *_repositories(config), *stores, *_outputs(config), *further})
    return [one for one in found if not any(other in one.parents for other in found)]


def stores_of(sources: Iterable[SourceSettings]) -> Iterator[Path]:
    """The directories of embedded stores, which are opened where they lie."""
    for source in sources:
        for name in _EMBEDDED:
            if isinstance(path := getattr(source, name, None), Path):
                yield path
        uri = getattr(source, "uri", None)
        if isinstance(uri, str) and uri.startswith("/"):  # a file with its own lock and log beside it
            yield Path(uri).parent


def _repositories(config: Config) -> Iterator[Path]:
    for url in (config.repository.url, *(copy.url for copy in config.repository.copies)):
        if "://" not in url:
            yield Path(url)


def _outputs(config: Config) -> Iterator[Path]:
    """Files that are replaced as a whole, and so need their directory."""
    if config.metrics is not None:
        yield config.metrics.textfile.parent
    if config.log.file is not None:
        yield config.log.file.parent
