"""Runs a program until it ends or standard input closes: a server started through this outlives no test process.

``python -m tests.servers.guard PROGRAM ARGUMENT…``
"""

from __future__ import annotations

import subprocess
import sys
import threading


def main() -> int:
    """Exit with the program's status."""
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

    def end_with_parent() -> None:
        sys.stdin.buffer.read()
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()

    threading.Thread(target=end_with_parent, daemon=True).start()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
