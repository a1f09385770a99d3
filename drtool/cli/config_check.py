"""``drtool config check``."""

from __future__ import annotations

from drtool.cli.command import Context, drtool_command


@drtool_command(
    example="""
drtool config check
drtool --config /etc/drtool/drtool.yaml config check --json
"""
)
def command(context: Context) -> None:
    """Check the configuration.

    Reads the file and checks every key in it, and that environment variables named in it are set. Fetches no
    secrets and connects to nothing.

    Exits with 0 where all is well, else with 2 and each problem's file, line and key.
    """
    config = context.config()
    output = context.output
    output.result(path=config.path, sources=sorted(config.sources), jobs=sorted(config.jobs))
    output.ok(f"{config.path} is valid")
    output.table(
        ("JOB", "SOURCES"),
        (
            (name, ", ".join(f"{source} ({config.sources[source].type})" for source in job.sources))
            for name, job in sorted(config.jobs.items())
        ),
    )
    unused = sorted(config.sources.keys() - {source for job in config.jobs.values() for source in job.sources})
    if unused:
        context.reporter().warn(f"in no job, so never backed up: {', '.join(unused)}")
