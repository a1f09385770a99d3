"""Are the audit logs what was written? This host's file, the repository's parts of all hosts' logs, and both."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from drtool.errors import DrtoolError
from drtool.monitoring.audit_lines import Checked, End, Fault, Line, against, check_lines, digest, parse_line
from drtool.monitoring.audit_log import AuditLog
from drtool.repository.audit import Logged, read_logged
from drtool.repository.repository import Repository

#: The entry that says that somebody knows of faults: its field with the keys of those.
ACCEPTED = "accepted"
#: What fits into a line.
_MOST_ACCEPTED = 1000
_LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of a log. ``log`` is the hash of its first line ("" where it is unknown), ``object`` the repository's
    object where it is one's."""

    kind: str
    message: str
    log: str = ""
    number: int = 0
    object: str = ""

    @property
    def key(self) -> str:
        """What it is accepted by: the same fault has the same, however far the log has grown since."""
        return digest("\0".join((self.kind, self.log, str(self.number), self.object)).encode())[:16]


@dataclass(slots=True)
class LogState:
    """A log, as far as it is known: where it is from, its last entry, and what is wrong with it. ``is_here`` is this
    host's file; else it is what the repository has."""

    log: str
    host: str
    is_here: bool
    entries: int = 0
    last_at: str = ""
    torn: int = 0
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class Audit:
    """All logs that were looked at, what is wrong with the repository's objects, and the keys of what was accepted."""

    logs: list[LogState] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    accepted: frozenset[str] = frozenset()

    def all(self) -> list[Finding]:
        """Every finding once."""
        found = [*self.findings, *(finding for log in self.logs for finding in log.findings)]
        return list({finding.key: finding for finding in found}.values())

    def open(self) -> list[Finding]:
        """Those that nobody has accepted."""
        return [finding for finding in self.all() if finding.key not in self.accepted]


@dataclass(frozen=True, slots=True)
class _Copy:
    """What the repository has of one log: its parts, their lines by number, and what a check found."""

    parts: Sequence[Logged]
    checked: Checked


def check_audit(log: AuditLog, repository: Repository | None) -> Audit:
    """Look at everything; without a `repository` at this host's file only."""
    # In this order, because other processes go on: each holds at least what the one before it does.
    uploaded = ("", End()) if repository is None else log.uploaded(repository.id)
    copies, problems = ({}, list[DrtoolError]()) if repository is None else _copies(repository)
    own = log.check()
    audit = Audit(accepted=frozenset(_accepted(log.lines())))
    audit.findings += [Finding(one.kind, one.message, object=one.object) for one in problems]
    name = log.id() or own.log or ""
    if own.end.number or name:
        audit.logs.append(_own(log, own, name))
    for id_, copy in copies.items():
        state = _of_copy(id_, copy)
        if id_ == name:
            state.findings += _both(own, copy.checked, id_)
        audit.logs.append(state)
    audit.findings += _replaced(log, name, copies)
    audit.findings += _lacking(*uploaded, copies)
    return audit


def accept(log: AuditLog, audit: Audit, reason: str, who: dict[str, object]) -> None:
    """Put on record that somebody knows of all that is open: it is no news any more."""
    keys = [finding.key for finding in audit.open()]
    for start in range(0, len(keys), _MOST_ACCEPTED):
        some = keys[start : start + _MOST_ACCEPTED]
        log.append({"event": ACCEPTED, ACCEPTED: some, "reason": reason[:_LONGEST_REASON], **who})
    audit.accepted |= {*keys}


def _accepted(lines: Iterable[Line]) -> Iterator[str]:
    for line in lines:
        if line.fields.get("event") == ACCEPTED:
            yield from map(str, line.fields.get(ACCEPTED) or ())


def _own(log: AuditLog, own: Checked, name: str) -> LogState:
    times = [str(line.fields.get("at", "")) for line in log.lines()]
    findings = [_finding(fault, name) for fault in own.faults]
    return LogState(name, socket.gethostname(), True, len(own.hashes), max(times, default=""), own.torn, findings)


def _copies(repository: Repository) -> tuple[dict[str, _Copy], list[DrtoolError]]:
    logged, problems = read_logged(repository)
    parts: dict[str, list[Logged]] = defaultdict(list)
    for one in logged:
        parts[one.log].append(one)
    return {log: _Copy(found, _check_copy(log, found)) for log, found in parts.items()}, problems


def _check_copy(log: str, parts: Sequence[Logged]) -> Checked:
    lines: dict[int, Line] = {}
    faults: list[Fault] = []
    for part in parts:
        for text in part.lines:
            line = parse_line(text.encode())
            if line is None:
                faults.append(Fault("altered", 0, f"{part.name} holds something that is no entry"))
            elif lines.setdefault(line.number, line).hash != line.hash:
                faults.append(Fault("foreign", line.number, f"{part.name} has another entry {line.number} than others"))
    ordered = (lines[number].text.encode() for number in sorted(lines))
    checked = check_lines(ordered, is_file=False)
    if checked.log is not None and checked.log != log:
        faults.append(Fault("altered", 1, "the first entry is not the one that the log is known by"))
    checked.faults += faults
    return checked


def _of_copy(log: str, copy: _Copy) -> LogState:
    newest = max(copy.parts, key=lambda part: part.at)
    findings = [_finding(fault, log) for fault in copy.checked.faults]
    return LogState(log, newest.host, False, len(copy.checked.hashes), newest.at, 0, findings)


def _both(own: Checked, there: Checked, id_: str) -> Iterator[Finding]:
    """Where this host's file and what the repository has of it do not agree."""
    for number in sorted(own.hashes.keys() & there.hashes.keys()):
        if own.hashes[number] != there.hashes[number]:
            message = f"entry {number} is not the same on this host and in the repository"
            yield Finding("differs", message, id_, number)
    for fault in against(own, there.end, "the repository"):
        if fault.kind == "cut":
            yield _finding(fault, id_)


def _replaced(log: AuditLog, name: str | None, copies: dict[str, _Copy]) -> Iterator[Finding]:
    """Logs that lay in this very file before, and are not there any more."""
    host, file = socket.gethostname(), str(log.path)
    for id_, copy in copies.items():
        newest = max(copy.parts, key=lambda part: part.at)
        if id_ != name and (newest.host, newest.file) == (host, file):
            end = copy.checked.end.number
            message = (
                f"this host's log of {end} entries, of which the repository got the last at {newest.at}, is gone:"
                " another one stands in its place"
            )
            yield Finding("replaced", message, id_, end)


def _lacking(id_: str, uploaded: End, copies: dict[str, _Copy]) -> Iterator[Finding]:
    """What this host had uploaded and the repository has not got any more."""
    there = copies[id_].checked if id_ in copies else Checked()
    for fault in against(there, uploaded, "this host, which uploaded it,"):
        yield Finding(f"{fault.kind}-in-repository", f"in the repository {fault.message}", id_, fault.number)


def _finding(fault: Fault, log: str | None) -> Finding:
    return Finding(fault.kind, fault.message, log or "", fault.number)
