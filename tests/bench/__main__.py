"""``python -m tests.bench``: measure, and print a table."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from drtool.errors import DrtoolError
from drtool.sources.mongodb.binary import find_mongod
from drtool.sources.mongodb.server import ServerOptions, running
from tests.bench import cold, files, increments, postgres, redis, replaying, stores, touching, vectors, workload, years
from tests.bench.drtools import Drtool
from tests.bench.measure import FailedError, Measured
from tests.bench.peers import missing
from tests.bench.place import PARTS
from tests.bench.rounds import contestants, rounds
from tests.bench.table import render

_DESCRIPTION = f"""
Measures drtool on a generated workload, by default {workload.TRANSACTIONS:,} transactions of about 480 bytes with
{workload.INDEXES} indexes and {workload.DOCUMENTS:,} documents with {workload.DIMENSIONS:,} doubles each.
Whole processes, medians of runs in turns with what else is installed: mongodump, mongorestore, zstd, age, restic.
"""

#: What has a workload of its own: scale, runs and the directory to work in give a text.
_REPORTS: Mapping[str, Callable[[float, int, Path | None], str]] = {
    vectors.TITLE: lambda scale, runs, _: vectors.report(scale, runs),
    stores.TITLE: stores.report,
    touching.TITLE: touching.report,
    increments.TITLE: increments.report,
    replaying.TITLE: replaying.report,
    cold.TITLE: cold.report,
    postgres.TITLE: postgres.report,
    redis.TITLE: redis.report,
    files.TITLE: files.report,
    years.TITLE: years.report,
}


def main() -> int:
    """Measure; the exit code."""
    options = _options()
    unknown = set(options.parts) - PARTS.keys() - _REPORTS.keys()
    if unknown or options.scale <= 0 or options.runs < 1:
        print(f"not a part: {', '.join(sorted(unknown))}" if unknown else "SCALE and RUNS must be positive")
        return 2
    parts = [part for part in PARTS if part in options.parts or not options.parts]
    try:
        for title, report in _REPORTS.items():
            if title in options.parts or not options.parts:
                print(report(options.scale, options.runs, options.directory) + "\n", flush=True)
        if parts:
            _measure(parts, options.scale, options.runs, options.directory)
    except (DrtoolError, FailedError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=_DESCRIPTION)
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"which parts (all): {', '.join([*_REPORTS, *PARTS])}",
    )
    parser.add_argument(
        "--scale", type=float, default=os.environ.get("SCALE", "1"), help="times the workload ($SCALE, 1)"
    )
    parser.add_argument("--runs", type=int, default=os.environ.get("RUNS", "3"), help="how many ($RUNS, 3)")
    parser.add_argument("--directory", type=Path, help="where to work (the system's temporary directory)")
    return parser.parse_args()


def _measure(parts: list[str], scale: float, runs: int, parent: Path | None) -> None:
    # Everything fits into the server's cache: the tools are to be measured, not the disk.
    options = ServerOptions(replica_set="bench", cache_gb=1 + scale / 2)
    with (
        tempfile.TemporaryDirectory(prefix="drtool-bench-", dir=parent) as directory,
        running(find_mongod(), options, Path(directory)) as server,
    ):
        made = workload.make(server.uri, scale)
        print(
            f"{made.transactions:,} transactions and {made.documents:,} documents, {made.bytes / 1e6:.0f} MB of BSON;"
            f" {os.cpu_count()} processors; medians of {runs}",
            flush=True,
        )
        if missing():
            print(f"not installed, so not compared with: {', '.join(missing())}", flush=True)
        taking_part = contestants(Path(directory), server, made.records)
        figures: dict[str, dict[str, list[Measured]]] = {part: {} for part in parts}
        for part, name, measured in rounds(taking_part, server, parts, runs):
            figures[part].setdefault(name, []).append(measured)
        for part in parts:
            print("\n" + render(PARTS[part], figures[part], made.bytes, Drtool.name), flush=True)


if __name__ == "__main__":
    sys.exit(main())
