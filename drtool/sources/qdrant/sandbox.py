"""A throw-away Qdrant: a private directory of the embedded engine, or of local mode. Nothing in it expires."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from drtool.errors import MissingToolError
from drtool.sources.extras import require
from drtool.sources.qdrant.addresses import Address, Kind

_PACKAGES = {Kind.EDGE: ("qdrant_edge", "qdrant-edge-py"), Kind.LOCAL: ("qdrant_client", "qdrant-client")}


@dataclass(frozen=True, slots=True)
class EmbeddedBox:
    """See ``drtool.sources.base.Sandbox``."""

    uri: str


def kind_of_sandbox(kind: Kind) -> Kind:
    """Where no server's program can be had, its engine stands in for it."""
    return Kind.EDGE if kind is Kind.SERVER else kind


@contextlib.contextmanager
def sandbox(kind: Kind, required: str, directory: Path) -> Iterator[EmbeddedBox]:
    """A directory below `directory`, gone at the end. ``MissingToolError`` where the engine is older than the
    source's."""
    sandbox_program(kind, required)
    place = Path(tempfile.mkdtemp(prefix="qdrant-", dir=directory))
    try:
        yield EmbeddedBox(Address(kind_of_sandbox(kind), str(place)).shown)
    finally:
        shutil.rmtree(place)


def sandbox_program(kind: Kind, required: str) -> str:
    """The package that stands for a server. A server's version and the embedded engine's do not compare."""
    module, package = _PACKAGES[kind_of_sandbox(kind)]
    require(module, "qdrant")
    has = engine_version(kind_of_sandbox(kind))
    if kind is not Kind.SERVER and _numbers(has) < _numbers(required):
        raise MissingToolError(
            f"the source was read with {package} {required}, and {has} is installed: too old to restore it into",
            hint=f"Install it: pip install '{package}>={required}'",
        )
    return f"{package} {has}"


def engine_version(kind: Kind) -> str:
    """Of an embedded one. ``MissingToolError`` where it is not installed."""
    package = _PACKAGES[kind][1]
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise MissingToolError(
            f"{package} is not installed", hint="Install it: pip install 'drtool[qdrant]'"
        ) from error


def _numbers(text: str) -> tuple[int, ...]:
    """Major and minor: before 1.0 the minor version is what changes formats."""
    return tuple(int(part) if part.isdigit() else 0 for part in text.split(".")[:2])
