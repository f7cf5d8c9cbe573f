"""The directory of one job: what must survive a restart, and what came of it.

    <model_dir>/<run key>/job.json      when it started, and the version that was current then
    <model_dir>/<run key>/result.json   the report, once there is nothing more to do
    <model_dir>/<run key>/candidates/   the store of candidates
    <model_dir>/<run key>/verdict.json  what the gates answered
    <model_dir>/inputs/                 the prepared data of all jobs
"""

import contextlib
import dataclasses
import hashlib
import os
import re
import time

from hubpipe.files import atomic, records
from hubpipe.retraining import outcome
from hubpipe.store import store

CACHE_FOLDER = "inputs"  # beside the jobs, for all of them

_JOB_FILE = "job.json"
_RESULT_FILE = "result.json"
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclasses.dataclass(frozen=True)
class Job:
    """One job, which several processes may work at, one after the other.

    Attributes:
        path: its directory.
        run_key: what it is for.
        started: seconds since 1970, of the first process.
        base: number of the version that was current then, None if none was.
    """

    path: str
    run_key: str
    started: float
    base: int | None

    @property
    def candidates_dir(self) -> str:
        """The store of candidates."""
        return os.path.join(self.path, "candidates")

    def candidates(self, name: str) -> store.Store:
        """Its candidates for a module."""
        return store.Store(self.candidates_dir, name)

    @property
    def verdict_path(self) -> str:
        """Where the verdict on the candidate goes."""
        return os.path.join(self.path, "verdict.json")

    def report(self) -> outcome.Report | None:
        """What came of it, None if it is not done."""
        try:
            return outcome.Report.from_json(records.read(os.path.join(self.path, _RESULT_FILE)))
        except FileNotFoundError:
            return None

    def finish(self, report: outcome.Report) -> None:
        """Writes what came of it."""
        records.write(os.path.join(self.path, _RESULT_FILE), report.to_json())


def open_job(model_dir: str, run_key: str, base: int | None) -> Job:
    """Finds the job of a run key, or starts it.

    Args:
        model_dir: the directory of all jobs.
        run_key: what the job is for.
        base: number of the version that is current now, for a job that starts.
    """
    path = os.path.join(model_dir, _folder(run_key))
    file = os.path.join(path, _JOB_FILE)
    try:
        facts = records.read(file)
    except FileNotFoundError:
        facts = {"run_key": run_key, "started": time.time(), "base": base}
        atomic.make_dirs(path)
        records.write(file, facts)
    return Job(path, facts["run_key"], facts["started"], facts["base"])


def remove_old(model_dir: str, keep: int) -> None:
    """Deletes the directories of old jobs: those that started before the jobs that stay.

    Jobs that never came to an end go as well; one of them that is asked for again starts anew.

    Args:
        model_dir: the directory of all jobs.
        keep: how many jobs that are done stay, those that started last.
    """
    started = {}
    with os.scandir(model_dir) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # it is no job
                started[entry.path] = records.read(os.path.join(entry.path, _JOB_FILE))["started"]
    done = sorted(start for path, start in started.items() if os.path.exists(os.path.join(path, _RESULT_FILE)))
    for path, start in started.items():
        if len(done) > keep and start < done[-keep]:
            atomic.remove_dir(path)


def _folder(run_key: str) -> str:
    """A folder name for a run key: itself, if it can be one."""
    if _SAFE.fullmatch(run_key) and len(run_key) <= 100 and run_key != CACHE_FOLDER:
        return run_key
    return "key-" + hashlib.sha256(run_key.encode()).hexdigest()[:32]
