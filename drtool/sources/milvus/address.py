"""Where a Milvus is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Address:
    """A server's URI, or the path of a Milvus Lite database; the token shows itself nowhere."""

    uri: str
    token: str = field(default="", repr=False)
    database: str = "default"

    @property
    def path(self) -> Path | None:
        """Where a Milvus Lite database lies; None for a server."""
        return None if "://" in self.uri or self.uri.startswith("unix:") else Path(self.uri).absolute()

    @property
    def shown(self) -> str:
        """For people: `uri` never holds a password."""
        return self.uri if self.path is not None or self.database == "default" else f"{self.uri}/{self.database}"
