"""A DAG for Airflow 2.9 and later: retrains docs-text every night, and hands on what came of it."""

import datetime
import json
import subprocess

from airflow.decorators import dag, task
from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException

_DIRECTORY = "/opt/hubpipe"
_PYTHON = "/opt/hubpipe/venv/bin/python"
_CONFIG = "configs/text.yaml"


class Preempted(AirflowException):
    """The job has saved a checkpoint: a retry goes on from there."""


def outcome_of(done: subprocess.CompletedProcess) -> dict:
    """What the job tells, an exception where Airflow should not call the task a success."""
    if not done.stdout.strip():  # killed before it could tell
        raise AirflowException(f"hubpipe.retrain ended with {done.returncode} and told nothing")
    report = json.loads(done.stdout.splitlines()[-1])
    told = f"{report['outcome']}: {'; '.join(report['reasons'])}"
    if done.returncode == 75:
        raise Preempted(told)
    if done.returncode in (2, 3):  # wrong config or data, or rejected: a retry would end the same way
        raise AirflowFailException(told)
    if done.returncode:
        raise AirflowException(told)
    if report["outcome"] == "skipped":
        raise AirflowSkipException(told)
    return report


@dag(
    schedule="15 2 * * *",
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 4, "retry_delay": datetime.timedelta(minutes=5)},
    tags=["hubpipe"],
)
def retrain_docs_text():
    """Retrain, then tell who serves."""

    @task(execution_timeout=datetime.timedelta(hours=6))
    def retrain(ds: str | None = None) -> dict:
        # The key is Airflow's day, so that a retry, or a run cleared by hand, is the same job. Who triggers
        # Airflow 3 by hand need not name a day: then data and config are the key.
        command = [_PYTHON, "-m", "hubpipe.retrain", "--config", _CONFIG]
        if ds:
            command += ["--run_key", ds]
        job = subprocess.Popen(command, cwd=_DIRECTORY, stdout=subprocess.PIPE, text=True)
        try:
            printed, _ = job.communicate()
        except BaseException:  # a timeout, or a task that is stopped: the job saves and leaves
            job.terminate()
            job.wait()
            raise
        return outcome_of(subprocess.CompletedProcess(command, job.returncode, printed))

    @task
    def announce(report: dict) -> None:
        print(f"{report['name']}: {report['outcome']}, current is version {report['current']}")

    announce(retrain())


retrain_docs_text()
