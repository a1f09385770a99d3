"""All checks of doctor in their order. They look and try, and change nothing but probe objects of their own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from drtool.operations.copy.examining import examine_copy
from drtool.operations.doctor.findings import Finding, Verdict, tried
from drtool.operations.doctor.host import examine_host
from drtool.operations.doctor.keys import examine_keys
from drtool.operations.doctor.sources import examine_source
from drtool.operations.doctor.store import examine_place
from drtool.operations.doctor.unattended import examine_unattended

if TYPE_CHECKING:
    from drtool.config.root import Config


def examine(config: Config) -> Iterator[Finding]:
    """Configuration, host, keys, store, repository, sources, tools, schedules, notifications: a finding each."""
    yield Finding("configuration", Verdict.OK, f"{config.path} is valid")
    yield from examine_host(config.repository)
    yield from examine_keys(config.repository)
    yield from tried("storage", lambda: examine_place(config.repository))
    for copy in config.repository.copies:
        yield from tried(f"copy {copy.url}", partial(examine_copy, config.repository, copy))
    for name in sorted(config.sources):
        yield from tried(f"source {name}", partial(examine_source, config, name))
    yield from examine_unattended(config)
