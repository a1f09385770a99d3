"""Programs that change the machine, replaced by scripts that keep to a directory. What the real ones do is tested in
test_cron_daemon.py, and by systemd-analyze."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

_CRONTAB = """\
#!/bin/sh
case "$1" in
  -l) [ -e {table} ] || {{ echo 'no crontab for somebody' >&2; exit 1; }}; cat {table} ;;
  -r) rm {table} ;;
  -) cat > {table} ;;
esac
"""
_SYSTEMCTL = """\
#!/bin/sh
echo "$@" >> {calls}
! grep -qx "$1" {failing} 2>/dev/null || {{ echo 'it would not' >&2; exit 1; }}
"""


def standing_in(name: str, script: str, directory: Path, monkeypatch: pytest.MonkeyPatch, **files: Path) -> None:
    """Put a program of this name on PATH, before all others."""
    path = directory / "standins" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(script.format(**files), encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(path.parent), prepend=":")


def crontab_in(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's crontab is this file."""
    table = directory / "table"
    standing_in("crontab", _CRONTAB, directory, monkeypatch, table=table)
    return table


def systemctl_in(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What systemctl is called with stands in this file, a line each; a call whose first word stands in ``failing``
    fails."""
    calls = directory / "calls"
    standing_in("systemctl", _SYSTEMCTL, directory, monkeypatch, calls=calls, failing=directory / "failing")
    return calls
