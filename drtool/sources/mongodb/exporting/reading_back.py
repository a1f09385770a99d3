"""How an export is restored without drtool, as sentences for the operator."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from drtool.sources.mongodb.exporting.dumped import ADMIN, Dumped


def how_to_restore(plan: Iterable[Dumped], shown: str, *, archive: bool) -> list[str]:
    """The commands, for what is in the plan."""
    plan = list(plan)
    command = "mongorestore"
    if any(one.validated for one in plan):
        command += " --bypassDocumentValidation"
    source = shlex.quote(shown)
    if archive:
        source = "--archive" if shown == "-" else f"--archive={source}"
    replay = " --oplogReplay" if any(one.is_overlay for one in plan) else ""
    only_accounts = all(one.is_account for one in plan) and ADMIN not in {one.database for one in plan}
    sentences = [] if only_accounts else [f"restore it with: {command}{replay} {source}"]
    databases = sorted({one.database for one in plan if one.is_account})
    if ADMIN in databases:
        return [*sentences, "users and roles come back too; with --drop, mongorestore removes all others"]
    for database in databases:
        place = source if archive else shlex.quote(f"{shown.rstrip('/')}/{database}")
        sentences.append(
            f"{database} with its users and roles: {command} --db {shlex.quote(database)}"
            f" --restoreDbUsersAndRoles {place}"
        )
    return sentences
