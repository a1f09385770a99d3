"""Fixtures: repositories with content to harm."""

from __future__ import annotations

from tests.repository.conftest import made, template, victim

__all__ = ["made", "template", "victim"]
