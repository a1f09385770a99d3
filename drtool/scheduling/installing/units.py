"""The texts of drtool's systemd units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from drtool.config.root import Config
from drtool.scheduling.installing.calling import FOLLOW, RUN, Call
from drtool.scheduling.installing.rhythm import Rhythm
from drtool.scheduling.installing.templates import filled
from drtool.scheduling.installing.words import quoted, to_unit

#: Reading, owning and attributing any file; other users' servers; who has a file open; devices, in trial restores.
_CAPABILITIES = (
    "CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_FOWNER CAP_CHOWN CAP_FSETID CAP_SETFCAP CAP_SETUID CAP_SETGID CAP_KILL"
    " CAP_SYS_PTRACE CAP_MKNOD"
)
#: Attributes of the namespace ``trusted`` are hidden from whoever lacks it, and would be missing from every backup.
_FOR_FILES = "CAP_SYS_ADMIN"
_MARK = "# configuration: "


def units_of(
    config: Config,
    call: Call,
    rhythm: Rhythm,
    *,
    name: str,
    user: bool,
    writable: Sequence[Path] = (),
    follow: Sequence[str] = (),
) -> dict[str, str]:
    """Names of files and their texts: service and timer, and a service that archives the oplogs of `follow`.

    For the host, or a user's own manager.
    """
    common = {"CONFIG": _text(call.config), "ABOUT": _text(call.config)}
    environment = {"ENVIRONMENT": _environment(call), "HARDENING": _hardening(config, user, writable).rstrip("\n")}
    timing = {"CALENDAR": rhythm.calendar, "SPREAD": f"{min(rhythm.seconds // 6, 60)}s"}
    service = {**common, **environment, "UNIT": name, "COMMAND": to_unit(call.words(*RUN))}
    units = {
        f"{name}.service": filled("drtool.service", service),
        f"{name}.timer": filled("drtool.timer", {**common, **timing, "UNIT": name}),
    }
    if follow:
        capture = {
            **common,
            **environment,
            "UNIT": f"{name}-capture",
            "COMMAND": to_unit(call.words(*FOLLOW, *follow)),
            "SOURCES": ", ".join(follow),
            "TARGET": "default.target" if user else "multi-user.target",
        }
        units[f"{name}-capture.service"] = filled("drtool-capture.service", capture)
    return units


def configuration_of(unit: str) -> Path | None:
    """The configuration that a unit is for, from its text; None where drtool did not write it."""
    for line in unit.splitlines():
        if line.startswith(_MARK):
            return Path(line.removeprefix(_MARK).replace("%%", "%"))
    return None


def _text(path: Path) -> str:
    return str(path).replace("%", "%%")


def _environment(call: Call) -> str:
    lines = [f"Environment={quoted(f'{name}={value}')}" for name, value in call.variables.items()]
    file = [] if call.env_file is None else [f"EnvironmentFile={_text(call.env_file)}"]
    return "\n".join([*lines, *file])


def _hardening(config: Config, user: bool, writable: Sequence[Path]) -> str:
    if user:
        return filled("hardening-user.conf", {})
    types = {source.type for source in config.sources.values()}
    values = {
        # What is missing (a disk that is not mounted, say) is for drtool to tell: without its unit it would be silent.
        "WRITABLE": " ".join(quoted(f"-{path}") for path in writable),
        "CAPABILITIES": f"{_CAPABILITIES} {_FOR_FILES}" if "files" in types else _CAPABILITIES,
    }
    return filled("hardening.conf", values)
