"""Chroma: over HTTP, and embedded, from a copy of its directory."""

from drtool.sources.chroma.source import ChromaSource

__all__ = ["ChromaSource"]
