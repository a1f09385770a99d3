"""Who calls drtool, and from where."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from drtool.monitoring.audit_actor import actor, is_alive, origin


def test_who() -> None:
    found = actor({"SUDO_USER": "ann", "DRTOOL_SCHEDULE": "nightly"})
    assert (found["uid"], found["sudo_user"], found["by"]) == (os.geteuid(), "ann", "schedule nightly")
    assert "sudo_user" not in actor({})


def test_by_what() -> None:
    script = (
        "import os, sys\nos.dup2(os.open(os.devnull, os.O_RDWR), 2)\n"
        "from drtool.monitoring.audit_actor import actor\nprint(actor()['by'])"
    )

    def by(stdin: int, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script], stdin=stdin, env=os.environ | environment, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.strip()

    assert by(subprocess.DEVNULL, INVOCATION_ID="5f3a") == "systemd"
    leader, follower = os.openpty()
    try:
        assert by(follower) == os.ttyname(follower)
    finally:
        os.close(leader)
        os.close(follower)


def test_from_where() -> None:
    assert origin({}) == {"host": socket.gethostname(), "pid": os.getpid()}
    assert origin({"SSH_CLIENT": "192.0.2.7 50000 22"})["ssh"] == "192.0.2.7"
    assert origin({"SSH_CONNECTION": "2001:db8::1 50000 2001:db8::2 22"})["ssh"] == "2001:db8::1"


def test_does_it_still_run() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert is_alive(origin({}))
    assert not is_alive({"host": socket.gethostname(), "pid": ended.pid})
    assert not is_alive({"host": "another", "pid": os.getpid()})
    assert not is_alive({})
    assert not is_alive({"host": socket.gethostname(), "pid": "1"})
