"""Copying snapshots and segments to a second repository."""
