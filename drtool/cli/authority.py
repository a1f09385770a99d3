"""Opening the repository as its root, for the commands that change keys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from drtool.cli.context import Context

if TYPE_CHECKING:
    from drtool.repository.authority import Authority
    from drtool.repository.repository import Repository


@contextlib.contextmanager
def governed(context: Context) -> Iterator[tuple[Repository, Authority]]:
    """The configuration's repository, and its root's authority."""
    from drtool.operations.keys.governing import governed as open_governed

    with open_governed(context.config().repository, cancelled=context.stopping) as opened:
        yield opened
