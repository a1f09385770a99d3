"""Snapshots in the layouts that mongorestore reads: a directory, or one archive file.

The layouts are those of mongodump (https://github.com/mongodb/mongo-tools, ``mongodump/prepare.go`` and
``common/archive``).
"""

from drtool.sources.mongodb.exporting.archive import ArchiveExporter
from drtool.sources.mongodb.exporting.directory import DirectoryExporter

__all__ = ["ArchiveExporter", "DirectoryExporter"]
