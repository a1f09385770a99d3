"""What Prometheus is told: which metrics there are, and their text (exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

#: The media type of `Exposition.text`.
CONTENT_TYPE = "text/plain; version=0.0.4"


@dataclass(frozen=True, slots=True)
class Metric:
    """A gauge: its name ends with its unit; ``labels`` are those that each of its values has."""

    name: str
    about: str
    labels: tuple[str, ...] = ()


_JOB, _STAGE, _SCHEDULE, _SOURCE = ("job",), ("job", "stage"), ("schedule", "task"), ("source",)

#: All of them, in the order in which they are told. Times are Unix times in seconds.
METRICS = (
    Metric("drtool_build_info", "The version of drtool; the value is always 1.", ("version",)),
    Metric(
        "drtool_last_success_timestamp_seconds",
        "When the job last had a new snapshot (stage backup), or one that was shown to be readable (stage verify).",
        _STAGE,
    ),
    Metric("drtool_last_run_timestamp_seconds", "When the job's last run of this host ended.", _STAGE),
    Metric("drtool_last_run_success", "Whether that run succeeded (1) or not (0).", _STAGE),
    Metric("drtool_last_duration_seconds", "How long that run took.", _STAGE),
    Metric("drtool_expected_interval_seconds", "The longest time between two runs that the schedule has.", _JOB),
    Metric("drtool_objective_rpo_seconds", "How old the newest snapshot may get, by the configuration.", _JOB),
    Metric("drtool_recovery_point_timestamp_seconds", "The instant that the newest snapshot brings back.", _JOB),
    Metric("drtool_snapshots", "How many snapshots there are.", _JOB),
    Metric("drtool_backup_size_bytes", "What the newest snapshot brings back.", _JOB),
    Metric("drtool_stored_bytes", "What the newest snapshot added to the repository.", _JOB),
    Metric(
        "drtool_verified_timestamp_seconds",
        "When a snapshot of the job was last shown to have this level of verification.",
        ("job", "level"),
    ),
    Metric("drtool_verification_failures", "How many snapshots failed their last verification.", _JOB),
    Metric("drtool_suspect_snapshots", "How many snapshots may lack changes.", _JOB),
    Metric("drtool_schedule_last_success_timestamp_seconds", "When a run of the schedule last succeeded.", _SCHEDULE),
    Metric("drtool_schedule_last_run_timestamp_seconds", "When the schedule's last run ended.", _SCHEDULE),
    Metric("drtool_schedule_last_run_success", "Whether that run succeeded (1) or not (0).", _SCHEDULE),
    Metric("drtool_schedule_last_duration_seconds", "How long that run took.", _SCHEDULE),
    Metric("drtool_schedule_running_since_timestamp_seconds", "When the run began that is on its way.", _SCHEDULE),
    Metric("drtool_schedule_next_run_timestamp_seconds", "When the schedule's next run is due.", _SCHEDULE),
    Metric("drtool_schedule_missed_runs", "How many runs were due since the last one, and did not happen.", _SCHEDULE),
    Metric("drtool_schedule_paused", "Whether somebody paused the schedule (1) or not (0).", _SCHEDULE),
    Metric("drtool_scheduler_last_tick_timestamp_seconds", "When cron or a timer last called drtool schedule run."),
    Metric("drtool_configuration_valid", "Whether drtool schedule run can use the configuration (1) or not (0)."),
    Metric(
        "drtool_pitr_lag_seconds", "How far the archived log was behind when the repository was last asked.", _SOURCE
    ),
    Metric("drtool_pitr_archived_timestamp_seconds", "Up to when the source's log is archived.", _SOURCE),
    Metric("drtool_pitr_gaps", "How many gaps the current archived log has.", _SOURCE),
    Metric("drtool_pitr_restorable", "Whether a snapshot leads into the archived log (1) or not (0).", _SOURCE),
    Metric("drtool_repository_reachable", "Whether the repository answered when it was last asked (1) or not (0)."),
    Metric("drtool_repository_answered_timestamp_seconds", "When the repository last answered."),
    Metric("drtool_repository_problems", "How many things in the repository are not as they should be."),
    Metric("drtool_repository_size_bytes", "What the repository's packs take."),
    Metric("drtool_free_bytes", "The room left on a file system that drtool writes to.", ("place",)),
    Metric("drtool_capacity_bytes", "The size of that file system.", ("place",)),
    Metric("drtool_open_alerts", "How many alerts are open.", ("severity",)),
)
_BY_NAME = {metric.name: metric for metric in METRICS}


@dataclass(slots=True)
class Exposition:
    """Values by metric and labels; ``labels`` are added to each of them."""

    labels: Mapping[str, str] = field(default_factory=dict)
    _values: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)

    def set(self, name: str, value: float | None, *labels: str) -> None:
        """The value of a metric for its labels' values, in their order; nothing is told where it is None."""
        if len(labels) != len(_BY_NAME[name].labels):
            raise ValueError(f"{name} has the labels {', '.join(_BY_NAME[name].labels) or 'none'}")
        if value is not None:
            self._values.setdefault(name, {})[labels] = value

    def text(self) -> str:
        """Everything, as Prometheus reads it."""
        return "".join(f"{line}\n" for metric in METRICS for line in self._lines(metric))

    def _lines(self, metric: Metric) -> Iterator[str]:
        values = self._values.get(metric.name)
        if not values:
            return
        yield f"# HELP {metric.name} {_escaped(metric.about)}"
        yield f"# TYPE {metric.name} gauge"
        for labels, value in sorted(values.items()):
            pairs = {**self.labels, **dict(zip(metric.labels, labels, strict=True))}
            told = ",".join(f'{name}="{_quoted(text)}"' for name, text in sorted(pairs.items()))
            yield f"{metric.name}{{{told}}} {_number(value)}" if told else f"{metric.name} {_number(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(round(float(value), 6))
