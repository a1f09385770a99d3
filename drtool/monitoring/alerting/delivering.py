"""Sending what is due to all targets at the same time, so that one that hangs holds up no other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from drtool.config.masking import mask
from drtool.errors import DrtoolError, NotificationError
from drtool.monitoring.alerting.messages import Message, Notice

if TYPE_CHECKING:
    from drtool.monitoring.targets.base import Target

#: Of a target that wants a message for each notice, so many at one time; the others follow the next time.
MOST_SEPARATE = 20
_MOST_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of telling a target: the notices that it has taken, a remark, and what went wrong, if something did."""

    target: str
    taken: tuple[Notice, ...] = ()
    remark: str = ""
    error: DrtoolError | None = None

    @property
    def retry_after(self) -> float | None:
        """How long (seconds) the target asks to wait."""
        return self.error.retry_after if isinstance(self.error, NotificationError) else None


def deliver(
    targets: Mapping[str, Target], due: Mapping[str, Sequence[Notice]], host: str, at: datetime
) -> Iterator[Attempt]:
    """Tell each target, by its name, what is due; what came of it, as it comes. No secret gets into a message."""
    waiting = {name: notices for name, notices in due.items() if notices}
    if not waiting:
        return
    with ThreadPoolExecutor(min(_MOST_AT_ONCE, len(waiting)), thread_name_prefix="notify") as pool:
        sent = [pool.submit(_attempt, name, targets[name], notices, host, at) for name, notices in waiting.items()]
        for future in as_completed(sent):
            yield future.result()


def _attempt(name: str, target: Target, notices: Sequence[Notice], host: str, at: datetime) -> Attempt:
    taken: list[Notice] = []
    remark = ""
    try:
        for part in _parts(target, notices):
            told = part[: target.shown]
            message = Message(tuple(told), host, at, more=len(part) - len(told))
            remark = target.deliver(message.with_texts(_clean)) or remark
            taken += part
    except DrtoolError as error:
        return Attempt(name, tuple(taken), remark, error)
    except (OSError, ValueError) as error:
        # Whatever a library makes of one target: the others, which took theirs, must not be told again for it.
        return Attempt(name, tuple(taken), remark, NotificationError(f"cannot be told: {type(error).__name__}"))
    return Attempt(name, tuple(taken), remark)


def _parts(target: Target, notices: Sequence[Notice]) -> Sequence[Sequence[Notice]]:
    """The notices of each message: the first are shown, the others counted."""
    if not target.separate:
        return [notices]
    return [[notice] for notice in notices[:MOST_SEPARATE]]


def _clean(text: str) -> str:
    """Without secrets, and without what is no text: names of files may hold any bytes."""
    return mask(text).encode("utf-8", "replace").decode()
