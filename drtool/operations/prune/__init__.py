"""Garbage collection beside running backups (docs/format.md, "Cleaning up")."""
