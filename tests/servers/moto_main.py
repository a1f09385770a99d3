"""moto's S3 server in a process of its own: writes its port to the file named by the argument, and serves."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

from moto.server import ThreadedMotoServer


def main() -> None:
    """Serve until killed."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    target = Path(sys.argv[1])
    incoming = target.with_suffix(".new")
    incoming.write_text(str(server.get_host_and_port()[1]))
    incoming.rename(target)
    threading.Event().wait()


if __name__ == "__main__":
    main()
