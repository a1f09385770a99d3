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
    Entry("prune", "drtool.cli.prune", "Delete what no snapshot and no archived log needs any more"),
    Entry("copy", "drtool.cli.copy", "Send snapshots to a second repository, in another place"),
    Entry("pitr capture", "drtool.cli.pitr_capture", "Archive the oplog, so that any moment can be restored"),
    Entry("pitr status", "drtool.cli.pitr_status", "Show which moments can be restored, gaps, and the archive's lag"),
    Entry("pitr find", "drtool.cli.pitr_find", "Find the operation to stop before in the archived oplog"),
    Entry("retention list", "drtool.cli.retention_list", "List the policies there are, and which job follows which"),
    Entry("retention plan", "drtool.cli.retention_plan", "Show which snapshots stay and which go, and why"),
    Entry("retention apply", "drtool.cli.retention_apply", "Remove the snapshots that their policy does not keep"),
    Entry("retention simulate", "drtool.cli.retention_simulate", "Show what a policy would keep over time"),
    Entry("protect", "drtool.cli.protect", "Keep a snapshot from being removed by retention"),
    Entry("release", "drtool.cli.release", "Let retention decide about a protected snapshot again"),
    Entry(
        "repair index",
        "drtool.cli.repair_index",
        "Rebuild the index from the packs, each of which holds a signed list of its chunks",
    ),
    Entry(
        "repair versions",
        "drtool.cli.repair_versions",
        "Bring back what somebody deleted or replaced in a bucket that keeps versions",
    ),
    Entry(
        "repair snapshots",
        "drtool.cli.repair_snapshots",
        "Find what lost or damaged packs took: which records of which streams of which snapshots",
    ),
    Entry(
        "key list", "drtool.cli.key_list", "List who may read, who may write, the catalog keys, and what lies in escrow"
    ),
    Entry(
        "key generate",
        "drtool.cli.key_generate",
        "Make an identity for a further person, a safe, or a machine that restores",
    ),
    Entry("key add", "drtool.cli.key_add", "Let somebody else read, or a further host write"),
    Entry("key rotate", "drtool.cli.key_rotate", "Seal what is written from now on under a new catalog key"),
    Entry("key revoke", "drtool.cli.key_revoke", "End what a key may do: an agent's signing, a recipient's reading"),
    Entry("key escrow", "drtool.cli.key_escrow", "Put the identity into the repository under a passphrase"),
    Entry(
        "key recover",
        "drtool.cli.key_recover",
        "Get the identity back from the repository with its passphrase, on any machine",
    ),
    Entry("key paper", "drtool.cli.key_paper", "Print an identity so that it can be kept on paper and typed in again"),
    Entry("key check", "drtool.cli.key_check", "Check an identity that was typed in from paper, or an identity file"),
    Entry("object-lock", "drtool.cli.object_lock", "Show or change for how long the store keeps what is put"),
    Entry("doctor", "drtool.cli.doctor", "Find out whether a backup and a restore would work from here"),
    Entry("config check", "drtool.cli.config_check", "Check the configuration"),
    Entry("config schema", "drtool.cli.config_schema", "Print the configuration's JSON Schema, for editors"),
)

#: What each group of commands is for.
GROUPS = {
    "key": "Say who may read and who may write, and keep the keys to both safe",
    "pitr": "Go back to any moment: archive the oplog, see what it covers, find what went wrong",
    "retention": "Decide which snapshots stay, and remove the others",
    "repair": "Mend what can be mended after objects were lost or damaged, and say what cannot",
    "config": "Check the configuration, and help to write it",
}
