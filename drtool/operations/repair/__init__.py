"""Repairing a repository: an index from packs, and an account of what lost packs took."""
