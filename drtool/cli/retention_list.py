"""``drtool retention list``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from drtool.cli.command import Context, drtool_command
from drtool.errors import ConfigError

if TYPE_CHECKING:
    from drtool.config.jobs import Job
    from drtool.config.policies import Policy


@drtool_command(
    example="""
drtool retention list
drtool retention list --json
"""
)
def command(context: Context) -> None:
    """List the policies there are, and which job follows which.

    They come with drtool, or lie in the directory retention beside the configuration; of one name, those come first.
    """
    from drtool.config.policies import available, read_policy

    beside = configuration_path(context)
    directory = Path.cwd() if beside is None else beside.absolute().parent
    policies = {name: read_policy(path) for name, path in available(directory).items()}
    jobs: dict[str, list[str]] = {name: [] for name in policies}
    without: list[str] = []
    for job, settings in sorted(_jobs(context).items()):
        policy = settings.retention
        if policy is None:
            without.append(job)
            continue
        key = policy.name if policy.path is not None else f"{job} ({policy.name})"
        if key in policies and policies[key].path != policy.path:
            key = str(policy.path)
        policies[key] = policy
        jobs.setdefault(key, []).append(job)
    for name, policy in policies.items():
        _line(context, name, policy, jobs[name])
    rows = [(name, policy.rules.summary(), ", ".join(jobs[name])) for name, policy in policies.items()]
    context.output.table(("POLICY", "KEEPS", "JOBS"), rows)
    if without:
        context.output.text(f"no policy, so that nothing is removed: {', '.join(without)}")
    context.output.result(without_policy=without)


def configuration_path(context: Context) -> Path | None:
    """The configuration; None where there is none and none was named, because policies are of interest without it."""
    from drtool.config.places import VARIABLE, find_config

    named = context.options.config
    try:
        return find_config(named)
    except ConfigError:
        if named is not None or os.environ.get(VARIABLE):
            raise
        return None


def _jobs(context: Context) -> dict[str, Job]:
    return {} if configuration_path(context) is None else context.config().jobs


def _line(context: Context, name: str, policy: Policy, jobs: list[str]) -> None:
    rules = {
        word: [list(tags) for tags in value] if word == "tags" else value if isinstance(value, int) else str(value)
        for word, value in policy.rules
        if value
    }
    context.output.line("policy", policy=name, path=policy.path, rules=rules, jobs=jobs)
