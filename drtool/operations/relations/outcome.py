"""What judging a relation over a snapshot showed."""

from __future__ import annotations

from dataclasses import asdict, dataclass

#: How many values are shown of those that do not fit.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """``unfit`` of the ``checked`` (values; records where they are counted) do not fit, and ``allowed`` may.

    ``name`` and ``form`` are the relation's. ``absent`` of the unfit are records without a value, ``unread`` values
    that are not of the type that they were to be read as. ``sample`` shows some that do not fit: data, for whoever
    reads the data, and for no record that others keep. ``reason`` says why it could not be judged; ``ok`` is None where
    that is no fault of the snapshot. ``counts`` are the records of both sides, where those are compared.
    """

    name: str
    form: str
    ok: bool | None
    checked: int = 0
    unfit: int = 0
    allowed: int = 0
    absent: int = 0
    unread: int = 0
    sample: tuple[str, ...] = ()
    reason: str = ""
    counts: tuple[int, ...] = ()

    def without_data(self) -> dict[str, object]:
        """What others may know, too, who read evidence and no data."""
        return {name: value for name, value in asdict(self).items() if name != "sample"}

    @property
    def message(self) -> str:
        """The outcome as a sentence without data."""
        if self.reason:
            return f"{self.name}: {self.reason}"
        if self.form == "count":
            told = f"{' and '.join(f'{count:,}' for count in self.counts)} records"
        elif self.unfit:
            parts = {"without a value": self.absent, "of another type": self.unread}
            detail = ", ".join(f"{count:,} {what}" for what, count in parts.items() if count)
            told = f"{self.unfit:,} of {self.checked:,} values do not fit" + (f" ({detail})" if detail else "")
        else:
            told = f"all {self.checked:,} values fit"
        return f"{self.name}: {told}" + (f"; {self.allowed:,} may" if self.unfit or self.allowed else "")
