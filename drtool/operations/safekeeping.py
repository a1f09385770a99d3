"""Safety snapshots: what was there before a restore in place, in a chain beside the job's own."""

from __future__ import annotations

from drtool.repository.chain import Snapshot

TAG = "safety"
_SUFFIX = "-safety"


def safety_job(job: str) -> str:
    """Under which job the safety snapshots of a job are kept: none of them is ever taken for one of the job's own."""
    return job if job.endswith(_SUFFIX) else job + _SUFFIX


def job_of_safety(job: str) -> str:
    """The job whose sources the safety snapshots of `job` hold; any other job is itself."""
    return job.removesuffix(_SUFFIX)


def is_safety(snapshot: Snapshot) -> bool:
    """Is this a safety snapshot?"""
    return TAG in snapshot.manifest.tags and snapshot.manifest.job.endswith(_SUFFIX)
