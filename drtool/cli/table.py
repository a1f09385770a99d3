"""Which commands there are. To add one: its file, and a line here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Audited(Enum):
    """When a command is told in the audit log: whatever changes something or reads data back is, but for dry runs."""

    NO = "never: it changes nothing and reads no data back"
    YES = "each time"
    READING = "from the level readable on"
    APPLYING = "with --apply"
    SELDOM = "once an hour, where it changed something or failed; each time with --follow"


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that is imported only when it is used.

    ``name`` has a space in it where the command belongs to a group; ``module`` has a module-level ``command``;
    ``help`` is the first sentence of its help, without the full stop. Each says when it is ``audited``; None is for
    none of them.
    """

    name: str
    module: str
    help: str
    audited: Audited | None = None


ENTRIES = (
    Entry("demo", "drtool.cli.demo", "See the whole story on an embedded server", Audited.NO),
    Entry("init", "drtool.cli.init", "Make a repository and its keys", Audited.YES),
    Entry("backup", "drtool.cli.backup", "Take a snapshot of each job; of all jobs without an argument", Audited.YES),
    Entry(
        "snapshots",
        "drtool.cli.snapshots",
        "List the snapshots, oldest first, with the level that each was verified to",
        Audited.NO,
    ),
    Entry(
        "show",
        "drtool.cli.show",
        "Show one snapshot in full: sources, instants, streams, level reached, what it costs",
        Audited.NO,
    ),
    Entry("verify", "drtool.cli.verify", "Raise snapshots to a level of verification, and record it", Audited.READING),
    Entry("restore", "drtool.cli.restore", "Bring a snapshot back, beside what is there", Audited.YES),
    Entry(
        "export",
        "drtool.cli.export",
        "Write a snapshot in its system's own layout, to be restored without drtool",
        Audited.YES,
    ),
    Entry("prune", "drtool.cli.prune", "Delete what no snapshot and no archived log needs any more", Audited.YES),
    Entry("copy", "drtool.cli.copy", "Send snapshots to a second repository, in another place", Audited.YES),
    Entry(
        "pitr capture",
        "drtool.cli.pitr_capture",
        "Archive the oplog, so that any moment can be restored",
        Audited.SELDOM,
    ),
    Entry(
        "pitr status",
        "drtool.cli.pitr_status",
        "Show which moments can be restored, gaps, and the archive's lag",
        Audited.NO,
    ),
    Entry("pitr find", "drtool.cli.pitr_find", "Find the operation to stop before in the archived oplog", Audited.YES),
    Entry(
        "retention list",
        "drtool.cli.retention_list",
        "List the policies there are, and which job follows which",
        Audited.NO,
    ),
    Entry("retention plan", "drtool.cli.retention_plan", "Show which snapshots stay and which go, and why", Audited.NO),
    Entry(
        "retention apply",
        "drtool.cli.retention_apply",
        "Remove the snapshots that their policy does not keep",
        Audited.YES,
    ),
    Entry("retention simulate", "drtool.cli.retention_simulate", "Show what a policy would keep over time", Audited.NO),
    Entry(
        "schedule list",
        "drtool.cli.schedule_list",
        "List what is done repeatedly: when last and how that ended, when next, and what was missed",
        Audited.NO,
    ),
    Entry(
        "schedule run",
        "drtool.cli.schedule_run",
        "Start what is due, and see to it that somebody hears of what goes wrong",
        Audited.NO,
    ),
    Entry("schedule pause", "drtool.cli.schedule_pause", "Start nothing of a schedule for a while", Audited.YES),
    Entry(
        "schedule resume",
        "drtool.cli.schedule_resume",
        "End a pause: the schedule goes on with its next run",
        Audited.YES,
    ),
    Entry(
        "schedule install",
        "drtool.cli.schedule_install",
        "Have drtool called regularly, so that what is due by the configuration is done",
        Audited.YES,
    ),
    Entry(
        "schedule remove",
        "drtool.cli.schedule_remove",
        "Take away what drtool schedule install put in place for this configuration",
        Audited.YES,
    ),
    Entry("protect", "drtool.cli.protect", "Keep a snapshot from being removed by retention", Audited.YES),
    Entry("release", "drtool.cli.release", "Let retention decide about a protected snapshot again", Audited.YES),
    Entry(
        "repair index",
        "drtool.cli.repair_index",
        "Rebuild the index from the packs, each of which holds a signed list of its chunks",
        Audited.YES,
    ),
    Entry(
        "repair versions",
        "drtool.cli.repair_versions",
        "Bring back what somebody deleted or replaced in a bucket that keeps versions",
        Audited.YES,
    ),
    Entry(
        "repair snapshots",
        "drtool.cli.repair_snapshots",
        "Find what lost or damaged packs took: which records of which streams of which snapshots",
        Audited.YES,
    ),
    Entry(
        "key list",
        "drtool.cli.key_list",
        "List who may read, who may write, the catalog keys, and what lies in escrow",
        Audited.NO,
    ),
    Entry(
        "key generate",
        "drtool.cli.key_generate",
        "Make an identity for a further person, a safe, or a machine that restores",
        Audited.YES,
    ),
    Entry("key add", "drtool.cli.key_add", "Let somebody else read, or a further host write", Audited.YES),
    Entry(
        "key rotate", "drtool.cli.key_rotate", "Seal what is written from now on under a new catalog key", Audited.YES
    ),
    Entry(
        "key revoke",
        "drtool.cli.key_revoke",
        "End what a key may do: an agent's signing, a recipient's reading",
        Audited.YES,
    ),
    Entry(
        "key escrow", "drtool.cli.key_escrow", "Put the identity into the repository under a passphrase", Audited.YES
    ),
    Entry(
        "key recover",
        "drtool.cli.key_recover",
        "Get the identity back from the repository with its passphrase, on any machine",
        Audited.YES,
    ),
    Entry(
        "key paper",
        "drtool.cli.key_paper",
        "Print an identity so that it can be kept on paper and typed in again",
        Audited.YES,
    ),
    Entry(
        "key check",
        "drtool.cli.key_check",
        "Check an identity that was typed in from paper, or an identity file",
        Audited.YES,
    ),
    Entry(
        "object-lock",
        "drtool.cli.object_lock",
        "Show or change for how long the store keeps what is put",
        Audited.APPLYING,
    ),
    Entry(
        "audit show",
        "drtool.cli.audit_show",
        "Show who changed something or read data back, from where, and how it ended",
        Audited.NO,
    ),
    Entry(
        "audit verify",
        "drtool.cli.audit_verify",
        "Check that nothing was cut from the audit log, altered or put in",
        Audited.NO,
    ),
    Entry(
        "notify test",
        "drtool.cli.notify_test",
        "Send a test message to the notification targets, and say which took it",
        Audited.NO,
    ),
    Entry(
        "notify list",
        "drtool.cli.notify_list",
        "List the alerts that are open on this host, and how deliveries to each notification target go",
        Audited.NO,
    ),
    Entry(
        "notify acknowledge",
        "drtool.cli.notify_acknowledge",
        "Say that somebody sees to an alert: it is not repeated any more",
        Audited.YES,
    ),
    Entry(
        "status",
        "drtool.cli.status",
        "Show how everything stands: what succeeded last, what comes next, what did not happen",
        Audited.NO,
    ),
    Entry(
        "metrics", "drtool.cli.metrics", "Print what Prometheus is to know of backups and their schedules", Audited.NO
    ),
    Entry("doctor", "drtool.cli.doctor", "Find out whether a backup and a restore would work from here", Audited.NO),
    Entry("config check", "drtool.cli.config_check", "Check the configuration", Audited.NO),
    Entry(
        "config schema", "drtool.cli.config_schema", "Print the configuration's JSON Schema, for editors", Audited.NO
    ),
)

#: What each group of commands is for.
GROUPS = {
    "audit": "See who did what, and check that the log of it is whole",
    "key": "Say who may read and who may write, and keep the keys to both safe",
    "pitr": "Go back to any moment: archive the oplog, see what it covers, find what went wrong",
    "notify": "Tell people what is wrong, and who sees to it",
    "retention": "Decide which snapshots stay, and remove the others",
    "schedule": "Do by itself, at its times, what the configuration schedules",
    "repair": "Mend what can be mended after objects were lost or damaged, and say what cannot",
    "config": "Check the configuration, and help to write it",
}
