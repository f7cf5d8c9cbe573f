"""The directory of one job: what must survive a restart, and what came of it.

    <model_dir>/<run key>/job.json      when it started, and the version that was current then
    <model_dir>/<run key>/result.json   the report, once there is nothing more to do
    <model_dir>/<run key>/candidates/   the store of candidates
    <model_dir>/<run key>/verdict.json  what the gates answered
    <model_dir>/inputs/                 the prepared data of all jobs
"""

import dataclasses
import hashlib
import os
import re
import time

from absl import logging

from hubpipe import errors
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

    def report(self, rules: str | None = None) -> outcome.Report | None:
        """What came of it.

        Args:
            rules: what decides now, see need.rules_digest; None for whatever did.
        Returns:
            None if it is not done, or has published nothing and other rules decided that.
        """
        try:
            facts = records.read(os.path.join(self.path, _RESULT_FILE))
        except FileNotFoundError:
            return None
        report = outcome.Report.from_json(facts)
        is_final = report.outcome is outcome.Outcome.PUBLISHED or rules in (None, facts.get("rules", rules))
        return report if is_final else None

    def finish(self, report: outcome.Report, rules: str) -> None:
        """Writes what came of it, and by which rules."""
        records.write(os.path.join(self.path, _RESULT_FILE), {**report.to_json(), "rules": rules})


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
            try:
                started[entry.path] = records.read(os.path.join(entry.path, _JOB_FILE))["started"]
            except (FileNotFoundError, NotADirectoryError):  # it is no job
                continue
            except (OSError, KeyError, errors.FormatError) as error:
                _leave(entry.path, error)
    done = sorted(start for path, start in started.items() if os.path.exists(os.path.join(path, _RESULT_FILE)))
    for path, start in started.items():
        if len(done) > keep and start < done[-keep]:
            try:
                atomic.remove_dir(path)
            except OSError as error:
                _leave(path, error)


def _leave(path: str, error: Exception) -> None:
    """To the job of today it makes no difference that an old one cannot be read or removed."""
    logging.warning("%s: left as it is among the old jobs: %s", path, error)


def _folder(run_key: str) -> str:
    """A folder name for a run key: itself, if it can be one."""
    if _SAFE.fullmatch(run_key) and len(run_key) <= 100 and run_key != CACHE_FOLDER:
        return run_key
    return "key-" + hashlib.sha256(run_key.encode()).hexdigest()[:32]
