"""Copying to a second repository."""
