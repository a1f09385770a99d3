"""drtool's marked blocks in a crontab, one for each configuration; every other byte of it stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drtool.errors import RefusedError

_BEGIN = re.compile(r"# >>> drtool (.+) >>>")
_END = re.compile(r"# <<< drtool (.+) <<<")


@dataclass(frozen=True, slots=True)
class Block:
    """The lines ``first`` up to before ``end`` of a crontab, marks included, that belong to ``config``."""

    config: Path
    first: int
    end: int
    lines: tuple[str, ...]


def blocks_of(table: str) -> list[Block]:
    """The blocks of a crontab, in its order. ``RefusedError`` where one has no end: whose lines would be ours?"""
    return list(_blocks(table.split("\n")))


def _blocks(lines: list[str]) -> Iterator[Block]:
    begun: tuple[str, int] | None = None
    for number, line in enumerate(lines):
        begin, end = _BEGIN.fullmatch(line), _END.fullmatch(line)
        if begin and begun is None:
            begun = begin[1], number
        elif begin or (end and (begun is None or begun[0] != end[1])):
            break
        elif end and begun is not None:
            yield Block(Path(begun[0]), begun[1], number + 1, tuple(lines[begun[1] : number + 1]))
            begun = None
    else:
        if begun is None:
            return
    raise RefusedError(
        "a block of drtool's in the crontab was changed: its first or its last line is missing",
        hint="Take what is left of it away with crontab -e, then do this again.",
    )


def with_block(table: str, config: Path, block: str) -> str:
    """`table` with the block of this configuration, which ends with a newline: where the last one was, else at the
    end."""
    lines, own = table.split("\n"), [one for one in blocks_of(table) if one.config == config]
    if not own:
        return table + ("\n" if table and not table.endswith("\n") else "") + block
    first, *others = own
    for one in reversed(others):
        del lines[one.first : one.end]
    lines[first.first : first.end] = block.removesuffix("\n").split("\n")
    return "\n".join(lines)


def without_block(table: str, config: Path) -> str:
    """`table` without the blocks of this configuration."""
    lines = table.split("\n")
    for one in reversed(blocks_of(table)):
        if one.config == config:
            del lines[one.first : one.end]
    return "\n".join(lines)
