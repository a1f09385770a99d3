"""Runs a program as another user, where root must not run it, and sees to it that it ends with its parent.

A script of its own, without imports from drtool: ``python -I as_user.py UID GID PROGRAM ARGUMENT…``.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(user: int, group: int, command: list[str]) -> None:
    """Become `user`, then `command`."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    if sys.platform == "linux":  # the kernel forgets this wish when the user changes
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
    os.execv(command[0], command)  # noqa: S606 - that is what this is for


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
