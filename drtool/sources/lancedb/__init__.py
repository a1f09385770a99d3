"""LanceDB: each table's files at one version."""

from drtool.sources.lancedb.source import LanceSource

__all__ = ["LanceSource"]
