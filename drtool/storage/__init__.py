"""Bytes under names: the store below a repository."""

from drtool.storage.locate import open_storage

__all__ = ["open_storage"]
