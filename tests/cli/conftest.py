"""A host with drtool on it, for the commands that need one."""

from __future__ import annotations

from tests.operations.conftest import client, database, make_site, site, uri

__all__ = ["client", "database", "make_site", "site", "uri"]
