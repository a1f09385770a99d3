"""Is a second repository one that can be copied to, and is it up to date? For doctor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drtool.operations.copy.opening import opened_pair
from drtool.operations.doctor.findings import Finding, Verdict
from drtool.repository.manifests import SNAPSHOTS

if TYPE_CHECKING:
    from drtool.config.copies import CopySettings
    from drtool.config.repository import RepositorySettings


def examine_copy(settings: RepositorySettings, copy: CopySettings) -> Iterator[Finding]:
    """One finding. Raises what a copy would be refused for."""
    check = f"copy {copy.url}"
    with opened_pair(settings, copy) as pair:
        here, there = (
            {info.name for info in repository.storage.list(SNAPSHOTS)} for repository in (pair.source, pair.destination)
        )
        how = "of another lineage" if pair.is_foreign else "of the same lineage"
    newest = max(here, default="")
    if newest and newest not in there:
        about = f"{how}, but the newest snapshot, {newest.removeprefix(SNAPSHOTS)}, is not there"
        yield Finding(
            check, Verdict.WARNING, about, f"Run drtool copy --to {copy.url}, best from cron after the backup."
        )
    else:
        yield Finding(check, Verdict.OK, f"{how}, holds {len(here & there)} of {len(here)} snapshots, the newest too")
