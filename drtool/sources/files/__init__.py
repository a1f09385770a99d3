"""Trees of files: an application's code and configuration, uploads; with owners, links, holes, attributes."""

from drtool.sources.files.source import FilesSource

__all__ = ["FilesSource"]
