"""How many requests S3 would get: drtool on a directory, with what it asks of its storage counted.

``python -m tests.bench.counting FILE ARGUMENT…`` runs drtool with these arguments and writes the counts to FILE, as
JSON, by the methods of ``drtool.storage.base.Storage``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from drtool.cli.main import run
from drtool.storage import locate
from drtool.storage.counting import RequestCount
from drtool.storage.directory import DirectoryStorage


def main() -> int:
    """Run drtool; its exit code."""
    count = RequestCount()
    vars(locate)["DirectoryStorage"] = lambda path: count.of(DirectoryStorage(path))
    try:
        return run(sys.argv[2:])
    finally:
        Path(sys.argv[1]).write_text(json.dumps(count.kinds), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
