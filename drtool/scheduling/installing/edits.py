"""What an installation would change, to be shown before it is done."""

from __future__ import annotations

import difflib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """``name`` is what changes: a path, or whose crontab. None where it was not there, or goes."""

    name: str
    before: str | None
    after: str | None

    @property
    def changes(self) -> bool:
        """Is there a difference at all?"""
        return self.before != self.after

    def difference(self) -> str:
        """As a unified diff; empty where there is none."""
        before, after = ((text or "").splitlines(keepends=True) for text in (self.before, self.after))
        old, new = ("/dev/null" if text is None else self.name for text in (self.before, self.after))
        lines = difflib.unified_diff(before, after, old, new)
        return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)
