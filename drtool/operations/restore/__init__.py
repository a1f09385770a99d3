"""Bringing a snapshot back: what was asked for, what is there, and only then writing."""
