"""What an account may not read of the trees that it is to back up."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from drtool.errors import DrtoolError
from drtool.sources.base import Lack
from drtool.sources.files.walking import NAMED, Tree, Walk, shown


def find_lacks(trees: Sequence[Tree]) -> Sequence[Lack]:
    """The first few, each fatal: a backup must not pass over what it cannot read."""
    return [lack for tree in trees for lack in _of(tree)] if os.geteuid() != 0 else []


def _of(tree: Tree) -> Iterator[Lack]:
    count = 0
    try:
        for entry in Walk(tree):
            if not stat.S_ISREG(entry.mode):
                continue
            path = tree.at(entry.path)
            if not os.access(path, os.R_OK, effective_ids=True):
                lost = f"{shown(path)} may not be read by this account; exclude it, or run as root"
                yield Lack("read", lost, fatal=True)
                count += 1
                if count == NAMED:
                    return
    except DrtoolError as error:
        yield Lack("read", error.message, fatal=True)
