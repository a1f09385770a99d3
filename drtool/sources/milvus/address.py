"""Where a Milvus is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

#: The database that every Milvus has.
DEFAULT_DATABASE = "default"


@dataclass(frozen=True, slots=True)
class Address:
    """A server's URI, or the path of a Milvus Lite database; the token shows itself nowhere."""

    uri: str
    token: str = field(default="", repr=False)
    database: str = DEFAULT_DATABASE

    @property
    def path(self) -> Path | None:
        """Where a Milvus Lite database lies; None for a server."""
        return None if "://" in self.uri or self.uri.startswith("unix:") else Path(self.uri).absolute()

    @property
    def shown(self) -> str:
        """For people: `uri` never holds a password."""
        if self.database == DEFAULT_DATABASE:
            return self.uri
        return f"{self.uri}/{self.database}" if self.path is None else f"{self.uri} (database {self.database})"
