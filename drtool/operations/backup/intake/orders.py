"""What a helper is asked, and what it answers. All of it is pickled on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from drtool.operations.backup.intake.units import Taken, Unit
from drtool.sources.reading import View


@dataclass(frozen=True, slots=True)
class Begin:
    """Units of a view follow. `id_key` is what their chunks get their ids by."""

    opening: Callable[[], View]
    id_key: bytes


class Order(Enum):
    """``ENOUGH``: no more is wanted of the unit that is being taken. ``CANCEL``: nor of any other of this view.
    ``END``: close the view, which is answered by ``ENDED``."""

    ENOUGH = "enough"
    CANCEL = "cancel"
    END = "end"


class Piece(NamedTuple):
    """`size` bytes of a compressed chunk, from its byte `start` on, are in a slot. With the last ones come the chunk's
    `id`, and its `length` uncompressed."""

    slot: int
    size: int
    start: int
    id: bytes = b""
    length: int = 0

    @property
    def is_last(self) -> bool:
        """Is the chunk whole with it?"""
        return bool(self.id)


@dataclass(frozen=True, slots=True)
class Failed:
    """A unit could not be taken; ``traceback`` says where."""

    error: Exception
    traceback: str


class Told(Enum):
    """``ENDED``: the view is closed."""

    ENDED = "ended"


Asked = Begin | Unit | Order
#: ``Taken`` ends a unit.
Answer = Piece | Taken | Failed | Told
