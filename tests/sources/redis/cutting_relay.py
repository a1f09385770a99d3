"""A relay in front of a server that stops in the middle of an answer."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def relay(port: int, *, most: int, then_waits: bool = False) -> Iterator[int]:
    """Its port: what is sent to it goes to `port`; of each connection's answers only the first `most` bytes come back,
    then it is closed, or says nothing until the client closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()
        thread = threading.Thread(target=_accept, args=(listener, port, most, then_waits, ended))
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            ended.set()
            socket.create_connection(listener.getsockname()).close()
            thread.join()


def _accept(listener: socket.socket, port: int, most: int, then_waits: bool, ended: threading.Event) -> None:
    threads = []
    while not ended.is_set():
        client, _ = listener.accept()
        thread = threading.Thread(target=_pass_on, args=(client, port, most, then_waits))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()


def _pass_on(client: socket.socket, port: int, most: int, then_waits: bool) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as server, contextlib.suppress(OSError):
        left = most
        while left > 0:
            ready, _, _ = select.select([client, server], [], [])
            if client in ready:
                data = client.recv(65536)
                if not data:
                    return
                server.sendall(data)
            if server in ready:
                data = server.recv(65536)
                if not data:
                    return
                client.sendall(data[:left])
                left -= len(data)
        while then_waits and client.recv(65536):
            pass
