"""Which commands there are. To add one: its file, and a line here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that is imported only when it is used.

    ``name`` has a space in it where the command belongs to a group; ``module`` has a module-level ``command``;
    ``help`` is the first sentence of its help, without the full stop.
    """

    name: str
    module: str
    help: str


ENTRIES = (
    Entry("demo", "drtool.cli.demo", "See the whole story on an embedded server"),
    Entry("init", "drtool.cli.init", "Make a repository and its keys"),
    Entry("backup", "drtool.cli.backup", "Take a snapshot of each job; of all jobs without an argument"),
    Entry(
        "snapshots",
        "drtool.cli.snapshots",
        "List the snapshots, oldest first, with the level that each was verified to",
    ),
    Entry(
        "show", "drtool.cli.show", "Show one snapshot in full: sources, instants, streams, level reached, what it costs"
    ),
    Entry("verify", "drtool.cli.verify", "Raise snapshots to a level of verification, and record it"),
    Entry("restore", "drtool.cli.restore", "Bring a snapshot back, beside what is there"),
    Entry(
        "export",
        "drtool.cli.export",
        "Write a snapshot in its system's own layout, to be restored without drtool",
    ),
    Entry("pitr capture", "drtool.cli.pitr_capture", "Archive the oplog, so that any moment can be restored"),
    Entry("pitr status", "drtool.cli.pitr_status", "Show which moments can be restored, gaps, and the archive's lag"),
    Entry("pitr find", "drtool.cli.pitr_find", "Find the operation to stop before in the archived oplog"),
    Entry("doctor", "drtool.cli.doctor", "Find out whether a backup and a restore would work from here"),
    Entry("config check", "drtool.cli.config_check", "Check the configuration"),
    Entry("config schema", "drtool.cli.config_schema", "Print the configuration's JSON Schema, for editors"),
)

#: What each group of commands is for.
GROUPS = {
    "pitr": "Go back to any moment: archive the oplog, see what it covers, find what went wrong",
    "config": "Check the configuration, and help to write it",
}
