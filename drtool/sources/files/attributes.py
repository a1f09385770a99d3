"""Extended attributes, access control lists among them."""

from __future__ import annotations

import errno
import os
import sys

#: Labels follow from the policy of the system that a file is on (restorecon sets them).
_LEFT_OUT = ("security.selinux",)
_INHERITED = "system.posix_acl_default"
_NONE = (errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES)


def attributes_of(file: int | bytes) -> list[bytes]:
    """Names and values in turns, by name, of a file or directory; those that this account may see."""
    if sys.platform != "linux":
        return []
    try:
        names = os.listxattr(file)
    except OSError as error:
        if error.errno in _NONE:
            return []
        raise
    found: list[bytes] = []
    for name in sorted(names):
        if name in _LEFT_OUT:
            continue
        try:
            value = os.getxattr(file, name)
        except OSError as error:
            if error.errno in _NONE:
                continue
            raise
        found += [os.fsencode(name), value]
    return found


def bequeath_nothing(directory: str | os.PathLike[str]) -> None:
    """Let what is made in a directory have no access control list but its own."""
    if sys.platform == "linux":
        try:
            os.removexattr(directory, _INHERITED)
        except OSError as error:
            if error.errno not in _NONE:
                raise
