"""What all tests share: hypothesis without clocks, and no silent skips in continuous integration."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# How long an example takes says something about the machine, not about the code.
settings.register_profile("drtool", deadline=None)
settings.load_profile("drtool")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With ``DRTOOL_CI``, a skipped test fails the session: there, everything that tests need is installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    is_worker = hasattr(session.config, "workerinput")
    if os.environ.get("DRTOOL_CI") and reporter is not None and not is_worker:
        skipped = reporter.stats.get("skipped", [])
        if skipped and session.exitstatus == pytest.ExitCode.OK:
            reporter.write_line(f"\n{len(skipped)} skipped: with DRTOOL_CI set, that is a failure", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
