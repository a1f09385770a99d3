"""Who calls drtool, and from where: what an audit log says of them."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drtool.local.accounts import user_name

#: What the kernel says of a process that nobody logged in for.
_NOBODY = 2**32 - 1
_LOGIN = Path("/proc/self/loginuid")


def actor(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The user, and by whom it was become: ``sudo``'s user, and the one who logged in as the kernel remembers it, which
    no later change of user alters. ``by`` says what started it: a terminal, a schedule, systemd, or else a process."""
    uid = os.geteuid()
    found: dict[str, Any] = {"user": user_name(uid), "uid": uid, "by": _by(environment)}
    if sudo := environment.get("SUDO_USER"):
        found["sudo_user"] = sudo
    if (login := _login_uid()) is not None:
        found["login"] = user_name(login)
    return found


def origin(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The host and the process; ``ssh`` is the address that the shell was reached from."""
    found: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid()}
    client = environment.get("SSH_CLIENT") or environment.get("SSH_CONNECTION") or ""
    if client:
        found["ssh"] = client.split()[0]
    return found


def is_alive(where: Mapping[str, Any]) -> bool:
    """Does the process of an entry's `origin` still run, as far as this host can tell?"""
    pid = where.get("pid")
    if where.get("host") != socket.gethostname() or type(pid) is not int or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _by(environment: Mapping[str, str]) -> str:
    if name := environment.get("DRTOOL_SCHEDULE"):
        return f"schedule {name}"
    for stream in (sys.stdin, sys.stderr):
        try:
            return os.ttyname(stream.fileno())
        except (OSError, ValueError, AttributeError):  # no terminal, or closed, or none at all
            continue
    return "systemd" if "INVOCATION_ID" in environment else "process"


def _login_uid() -> int | None:
    try:
        uid = int(_LOGIN.read_text(encoding="ascii"))
    except (OSError, ValueError):  # a container, or a kernel without auditing
        return None
    return None if uid == _NOBODY else uid
