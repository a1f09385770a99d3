"""What the configuration wants around a run: hooks and pings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from drtool.config.masking import mask
from drtool.config.root import Config
from drtool.config.timing import Repeated
from drtool.errors import ConfigError, HookError, NotificationError, PartialError
from drtool.operations.reporting import Reporter
from drtool.operations.unattended.attending.hooks import AFTER, BEFORE, ON_ERROR, HookDone, run_hooks
from drtool.operations.unattended.attending.turn import ENTRY, HOOK, RUN, SLOT
from drtool.scheduling.ledger import Outcome, RunRecord, RunState

if TYPE_CHECKING:
    from drtool.monitoring.pings import Pinger

#: How long (seconds) hooks and a ping may take where somebody wants this process to end.
_HASTE_HOOK, _HASTE_PING = 10.0, 5.0
_MOST_TEXT = 4000
#: What hooks find in their environment; what does not apply is not set.
VARIABLES = (
    RUN,
    "DRTOOL_TASK",
    "DRTOOL_JOB",
    ENTRY,
    SLOT,
    "DRTOOL_CONFIG",
    HOOK,
    "DRTOOL_SNAPSHOT",
    "DRTOOL_STATE",
    "DRTOOL_EXIT_CODE",
    "DRTOOL_ERROR_KIND",
    "DRTOOL_ERROR",
)


class Around:
    """Hooks and pings of one run. What hooks write is told, and put into `figures`."""

    def __init__(
        self,
        config: Config,
        run: RunRecord,
        figures: dict[str, Any],
        reporter: Reporter,
        environment: Mapping[str, str],
    ) -> None:
        self._config = config
        self._run = run
        self._figures = figures
        self._reporter = reporter
        self._environment = environment
        self._settings = settings_of(config, run) or Repeated()

    @property
    def longest(self) -> float | None:
        """How long (seconds) the run may take."""
        return self._settings.max_duration

    def before(self) -> None:
        """Before the run; ``SkippedError`` or ``HookError`` keep it from starting."""
        hooks = self._settings.hooks
        run_hooks(BEFORE, hooks.before, self._variables(BEFORE), hooks.timeout, self._tell)
        with self._pinging() as pinger:
            if pinger is not None:
                pinger.started(self._run.id)

    def after(self) -> None:
        """After the work was done; ``PartialError`` where a hook fails."""
        hooks = self._settings.hooks
        done = Outcome(RunState.OK, 0)
        try:
            run_hooks(AFTER, hooks.after, self._variables(AFTER, done), hooks.timeout, self._tell)
        except HookError as error:
            what = f"{self._run.task} {self._run.job or self._run.entry}".rstrip()
            raise PartialError(f"{what} is done, but {error.message}", hint=error.hint) from error

    def ended(self, outcome: Outcome, *, in_haste: bool = False) -> None:
        """After its end; whatever goes wrong here is a warning."""
        if outcome.state is RunState.SKIPPED:
            return
        if outcome.state is not RunState.OK:
            self._on_error(outcome, in_haste=in_haste)
        with self._pinging(in_haste=in_haste) as pinger:
            if pinger is None:
                return
            if outcome.state is RunState.OK:
                pinger.succeeded(self._run.id)
            else:
                wants_text = self._settings.ping is not None and self._settings.ping.log
                pinger.failed(self._run.id, outcome.exit_code, _told(outcome) if wants_text else "")

    def _on_error(self, outcome: Outcome, *, in_haste: bool) -> None:
        hooks = self._settings.hooks
        limit = min(hooks.timeout, _HASTE_HOOK) if in_haste else hooks.timeout
        for command in hooks.on_error:
            try:
                run_hooks(ON_ERROR, [command], self._variables(ON_ERROR, outcome), limit, self._tell)
            except HookError as error:
                self._reporter.warn(error.message)

    @contextmanager
    def _pinging(self, *, in_haste: bool = False) -> Iterator[Pinger | None]:
        ping = self._settings.ping
        if ping is None:
            yield None
            return
        from drtool.monitoring.pings import ALL_SECONDS, Pinger  # what speaks HTTP takes long to import

        try:
            yield Pinger(ping.url.reveal(), ping.ca_bundle, _HASTE_PING if in_haste else ALL_SECONDS)
        except (NotificationError, ConfigError) as error:
            self._reporter.warn(error.message)

    def _variables(self, hook: str, outcome: Outcome | None = None) -> dict[str, str]:
        run = self._run
        own = {
            RUN: run.id,
            "DRTOOL_TASK": run.task,
            "DRTOOL_JOB": run.job,
            ENTRY: run.entry,
            SLOT: run.slot.isoformat() if run.slot else "",
            "DRTOOL_CONFIG": str(self._config.path),
            HOOK: hook,
            "DRTOOL_SNAPSHOT": str(self._figures.get("snapshot") or ""),
        }
        if outcome is not None:
            own |= {"DRTOOL_STATE": outcome.state.value, "DRTOOL_EXIT_CODE": str(outcome.exit_code)}
            own |= {"DRTOOL_ERROR_KIND": outcome.kind, "DRTOOL_ERROR": _variable(outcome.message)}
        others = {name: value for name, value in self._environment.items() if name not in VARIABLES}
        return others | {name: value for name, value in own.items() if value}

    def _tell(self, done: HookDone) -> None:
        self._figures.setdefault("hooks", []).append(done.as_figures())
        if done.output:
            self._reporter.note(f"hook {done.hook}: {done.program}: {done.output}")


def settings_of(config: Config, run: RunRecord) -> Repeated | None:
    """What the configuration says about a run of this schedule or job; None for what a person called otherwise."""
    if run.entry in config.schedules:
        return config.schedules[run.entry]
    return config.jobs.get(run.job) if run.task == "backup" else None


def _told(outcome: Outcome) -> str:
    return mask("\n".join(filter(None, (outcome.message, outcome.hint))))


def _variable(text: str) -> str:
    return mask(text)[:_MOST_TEXT].replace("\0", "")
