"""Tests of hubpipe.retraining.job."""

import dataclasses
import io
import itertools
import os
import pathlib
import shutil
import subprocess

import pytest

from hubpipe import errors
from hubpipe.files import faults, owner, records
from hubpipe.gates import result
from hubpipe.retraining import job as job_lib
from hubpipe.retraining import judging, lock, outcome
from hubpipe.saved_model import isolated
from hubpipe.store import layout
from hubpipe.store import store as store_lib
from hubpipe.training import progress as progress_lib
from hubpipe.training import run as run_lib

GATES = ("format", "integrity", "hermetic", "fine_tuning", "signatures", "quality")
NEW_DATA = ("seed=2",)  # to the job it is all the same what is new
ENDED = f"{owner.host()}-999999999-00ff"  # the mark of a process that is not there


def answer(gate="quality", problems=(), **numbers):
    return judging.Verdict([result.Result(gate, list(problems), numbers={"metrics": {"loss": 0.5}, **numbers})])


class Jobs:
    """Starts jobs of one module in this process.

    Attributes:
        verdict: what the gates answer; None to ask them.
        runs: pairs (module that the training started from, its result) of the trainings.
        asked: numbers of the versions that the gates compared the candidates with.
        meanwhile: called when a training ends.
        notes: what the last job told.
    """

    def __init__(self, create, monkeypatch):
        self._create = create
        self.verdict = answer()
        self.runs, self.asked, self.notes = [], [], ""
        self.meanwhile = lambda: None
        train, ask = run_lib.run, judging.judge

        def run(*args, warm_start_from, **kwargs):
            found = train(*args, warm_start_from=warm_start_from, **kwargs)
            self.runs.append((warm_start_from, found))
            self.meanwhile()
            return found

        def judge(candidate, current, *args):
            self.asked.append(current and current.number)
            return self.verdict or ask(candidate, current, *args)

        monkeypatch.setattr(run_lib, "run", run)
        monkeypatch.setattr(judging, "judge", judge)

    @property
    def store(self):
        config = self._create()
        return store_lib.Store(config.store.dir, config.name)

    def start(self, *overrides, is_preempted=lambda: False, **options):
        config = self._create("export.twin=false", *overrides)
        written = io.StringIO()
        progress = progress_lib.Progress(max_steps=6, batch_size=4, every_steps=1, file=written)
        try:
            return job_lib.retrain(config, job_lib.Options(**options), progress, is_preempted=is_preempted)
        finally:
            self.notes = written.getvalue()


@pytest.fixture
def jobs(tiny, monkeypatch):
    return Jobs(tiny, monkeypatch)


def numbers(store):
    return [version.number for version in store.versions()]


# Published.


def test_the_first_job_publishes(jobs, tmp_path):
    report = jobs.start(run_key="day-1")
    assert (report.outcome, report.version, report.current) == (outcome.Outcome.PUBLISHED, 1, 1)
    assert (report.run_key, report.run_dir) == ("day-1", str(tmp_path / "run" / "day-1"))
    assert report.metrics == {"loss": 0.5} and report.step in (2, 4, 6)
    assert not report.forced and not report.repeated
    version = jobs.store.version(1)
    assert version.problems() == []
    facts = version.manifest()
    assert (facts["run_key"], facts["parent"], facts["forced"]) == ("day-1", None, False)
    assert facts["step"] == report.step
    assert facts["config"]["model_dir"] == str(tmp_path / "run")  # the job's, not that of its candidates
    with open(os.path.join(version.path, layout.EXTRA, "config.yaml")) as file:
        assert f"model_dir: {tmp_path}/run\n" in file.read()
    assert records.read(os.path.join(version.path, layout.VERDICT))["passed"] is True
    assert jobs.store.record().history[-1].why == "retrained, run key day-1"


def test_the_same_run_key_is_done_once(jobs):
    first = jobs.start(run_key="day-1")
    again = jobs.start(*NEW_DATA, run_key="day-1")
    assert again.repeated and not first.repeated
    told = {"repeated": False, "started": first.started, "seconds": first.seconds}
    assert dataclasses.replace(again, **told) == first
    assert (numbers(jobs.store), len(jobs.runs), jobs.asked) == ([1], 1, [None])


def test_other_gates_decide_anew_on_what_no_run_key_names(jobs):
    strict = "gates.quality.thresholds={loss: {at_most: 0.0}}"
    jobs.verdict = None
    first = jobs.start(strict)
    assert (first.outcome, first.repeated) == (outcome.Outcome.REJECTED, False)
    assert jobs.start(strict).repeated
    second = jobs.start()
    assert (second.outcome, second.version, second.run_key) == (outcome.Outcome.PUBLISHED, 1, first.run_key)
    assert jobs.runs[-1][1].outcome == "already_trained"
    assert jobs.start(strict).repeated  # what is published is so


def test_a_run_key_is_done_whatever_the_gates(jobs):
    strict = "gates.quality.thresholds={loss: {at_most: 0.0}}"
    jobs.verdict = None
    assert jobs.start(strict, run_key="day-1").outcome is outcome.Outcome.REJECTED
    assert jobs.start(run_key="day-1").repeated


def test_what_was_published_to_a_store_that_is_lost_is_published_again(jobs):
    jobs.start(run_key="day-1")
    shutil.rmtree(jobs.store.path)
    report = jobs.start(run_key="day-1")
    assert (report.outcome, report.version, report.current) == (outcome.Outcome.PUBLISHED, 1, 1)
    assert not report.repeated
    assert jobs.runs[-1][1].outcome == "already_trained"


def test_a_version_of_another_job_is_not_what_was_published(jobs):
    jobs.start(run_key="day-1")
    shutil.rmtree(jobs.store.path)
    jobs.start(*NEW_DATA, run_key="day-2")
    report = jobs.start(run_key="day-1")
    assert (report.outcome, report.version, report.repeated) == (outcome.Outcome.PUBLISHED, 2, False)


@pytest.mark.parametrize("kind", [outcome.Outcome.NO_IMPROVEMENT, outcome.Outcome.SKIPPED])
def test_in_an_empty_store_no_candidate_is_one_too_many(jobs, kind):
    jobs.start(run_key="day-1")
    if kind is outcome.Outcome.NO_IMPROVEMENT:
        jobs.verdict = answer(is_better=False)
    again = NEW_DATA if kind is outcome.Outcome.NO_IMPROVEMENT else ()
    assert jobs.start(*again).outcome is kind
    shutil.rmtree(jobs.store.path)
    jobs.verdict = answer()
    report = jobs.start(*again)
    assert (report.outcome, report.version, report.repeated) == (outcome.Outcome.PUBLISHED, 1, False)


def test_a_slice_column_that_is_not_there_is_told_before_the_training(jobs):
    with pytest.raises(errors.InputError, match="no column 'nope'"):
        jobs.start("gates.quality={slice_column: nope, slices: [{at_most: 1.0}]}")
    assert jobs.runs == []


def test_a_second_version_knows_its_parent(jobs):
    jobs.start(run_key="day-1")
    report = jobs.start(*NEW_DATA, run_key="day-2")
    assert (report.version, report.current) == (2, 2)
    assert jobs.store.version(2).manifest()["parent"] == 1


def test_a_pinned_version_stays_current(jobs):
    jobs.start(run_key="day-1")
    jobs.store.pin(1, why="a release")
    report = jobs.start(*NEW_DATA, run_key="day-2")
    assert (report.outcome, report.version, report.current) == (outcome.Outcome.PUBLISHED, 2, 1)
    assert report.reasons[-1] == "the current version is pinned and stays"


def test_a_candidate_is_compared_with_what_is_current_when_it_is_judged(jobs):
    jobs.start(run_key="day-1")
    jobs.start(*NEW_DATA, run_key="day-2")
    jobs.meanwhile = lambda: jobs.store.rollback(1, why="a complaint")
    jobs.start("seed=3", run_key="day-3")
    assert jobs.asked == [None, 1, 1]
    assert jobs.store.version(3).manifest()["parent"] == 1


def test_retention_keeps_to_the_config(jobs):
    values = {}
    for day in range(3):
        report = jobs.start(f"seed={day}", "export.keep_latest=1", "retrain.keep_jobs=1", run_key=f"day-{day}")
        values[report.version] = jobs.store.version(report.version).manifest()["selection"]["value"]
    best = min(values, key=values.__getitem__)  # of a loss
    assert numbers(jobs.store) == sorted({best, 3})
    assert sorted(os.listdir(os.path.dirname(jobs.start(run_key="day-2").run_dir))) == ["day-2", "inputs"]


# Not published.


def test_unchanged_data_are_skipped(jobs):
    jobs.start(run_key="day-1")
    report = jobs.start(run_key="day-2")
    assert report.outcome is outcome.Outcome.SKIPPED
    assert report.reasons == ("the data and the config are those of version 1",)
    assert (numbers(jobs.store), len(jobs.runs)) == ([1], 1)


def test_too_few_new_rows_are_skipped(jobs, tmp_path):
    jobs.start(run_key="day-1")
    with open(tmp_path / "train.csv", "a") as file:
        file.write("the cat and the mouse,animal\n")
    report = jobs.start("retrain.min_new_rows=2", run_key="day-2")
    assert report.outcome is outcome.Outcome.SKIPPED
    assert report.reasons == ("1 new training rows, retrain.min_new_rows is 2",)
    assert jobs.start("retrain.min_new_rows=1", run_key="day-3").outcome is outcome.Outcome.PUBLISHED


def test_while_another_job_is_at_it_a_job_is_skipped(jobs, monkeypatch):
    monkeypatch.setattr(lock, "BEAT_SECS", 0.05)
    with lock.held(jobs.store.path):
        report = jobs.start(run_key="day-1", wait_secs=0.1)
    assert (report.outcome, report.run_key) == (outcome.Outcome.SKIPPED, "day-1")
    assert "is retraining it" in report.reasons[0] and str(os.getpid()) in report.reasons[0]
    assert f"{jobs.store.path}: waiting for " in jobs.notes
    assert jobs.start(run_key="day-1").outcome is outcome.Outcome.PUBLISHED  # the skip was not recorded


def test_a_dry_run_publishes_nothing_and_spares_the_real_one_the_training(jobs):
    report = jobs.start(run_key="day-1", dry_run=True)
    assert report.outcome is outcome.Outcome.WOULD_PUBLISH
    assert (report.version, report.current, numbers(jobs.store)) == (None, None, [])
    assert jobs.start(run_key="day-1").outcome is outcome.Outcome.PUBLISHED
    assert [found.outcome for _, found in jobs.runs] == ["trained", "already_trained"]


def test_no_improvement_keeps_the_current_version(jobs):
    jobs.start(run_key="day-1")
    jobs.verdict = answer(is_better=False)
    report = jobs.start(*NEW_DATA, run_key="day-2")
    assert (report.outcome, report.version, report.current) == (outcome.Outcome.NO_IMPROVEMENT, None, 1)
    assert jobs.start(run_key="day-2").repeated


@pytest.mark.parametrize("gate", GATES)
def test_any_gate_rejects(jobs, gate):
    jobs.verdict = answer(gate, ["it is no good"])
    report = jobs.start(run_key="day-1")
    assert (report.outcome, report.reasons) == (outcome.Outcome.REJECTED, (f"{gate}: it is no good",))
    assert numbers(jobs.store) == []
    verdict = records.read(os.path.join(report.run_dir, "verdict.json"))
    assert not verdict["passed"] and verdict["gates"][0]["problems"] == ["it is no good"]


def test_force_publishes_what_was_rejected_and_is_recorded(jobs):
    jobs.verdict = answer(problems=["it is no good"])
    assert jobs.start(run_key="day-1").outcome is outcome.Outcome.REJECTED
    assert jobs.start(run_key="day-1").repeated
    report = jobs.start(run_key="day-1", force=True)
    assert (report.outcome, report.forced, report.version) == (outcome.Outcome.PUBLISHED, True, 1)
    assert report.reasons == ("quality: it is no good",)
    assert jobs.store.version(1).manifest()["forced"] is True
    assert [found.outcome for _, found in jobs.runs] == ["trained", "already_trained"]
    assert jobs.start(run_key="day-1", force=True).repeated


def test_force_without_need_is_not_recorded(jobs):
    report = jobs.start(run_key="day-1", force=True)
    assert report.outcome is outcome.Outcome.PUBLISHED and not report.forced
    assert jobs.store.version(1).manifest()["forced"] is False


def test_no_finite_metric_is_a_rejection(jobs, monkeypatch):
    found = run_lib.Result("trained", 6, 3, None, None, {})
    monkeypatch.setattr(run_lib, "run", lambda *args, **kwargs: found)
    report = jobs.start(run_key="day-1")
    assert report.outcome is outcome.Outcome.REJECTED
    assert report.reasons == ("none of 3 checkpoints has a finite loss",)


def test_bad_data_leave_no_result(jobs, tmp_path):
    rows = (tmp_path / "train.csv").read_text()
    (tmp_path / "train.csv").write_text(rows + "the cat,animal,or a plant\n")
    with pytest.raises(errors.InputError) as caught:
        jobs.start(run_key="day-1")
    assert f"{tmp_path}/train.csv:20" in str(caught.value)
    (tmp_path / "train.csv").write_text(rows)
    assert jobs.start(run_key="day-1").outcome is outcome.Outcome.PUBLISHED


# Stopped and started again.


def test_a_preempted_job_goes_on(jobs):
    looks = itertools.count()
    report = jobs.start(is_preempted=lambda: next(looks) > 5, run_key="day-1")
    assert report.outcome is outcome.Outcome.PREEMPTED
    assert report.reasons == (f"saved at step {report.step}; the same command goes on",)
    assert report.step < 6 and numbers(jobs.store) == []
    assert jobs.start(run_key="day-1").outcome is outcome.Outcome.PUBLISHED
    assert [found.step for _, found in jobs.runs] == [report.step, 6]


def test_at_the_deadline_the_candidate_is_judged(jobs):
    report = jobs.start("training.max_steps=1000000", "retrain.deadline_secs=1.0e-6", run_key="day-1")
    assert (report.outcome, report.step) == (outcome.Outcome.PUBLISHED, 1)


def test_a_deadline_counts_from_the_first_start(jobs, tmp_path):
    job = jobs.start(is_preempted=lambda: True, run_key="day-1")
    path = os.path.join(job.run_dir, "job.json")
    facts = records.read(path)
    records.write(path, {**facts, "started": facts["started"] - 1e6})
    report = jobs.start("training.max_steps=1000000", "retrain.deadline_secs=999999", run_key="day-1")
    assert (report.outcome, report.step) == (outcome.Outcome.PUBLISHED, 1)


def take_over(jobs):
    """What another job does that has seen no beat for long."""
    for path in pathlib.Path(jobs.store.path, ".retrain").glob(".holder-*"):
        path.unlink()


@pytest.mark.parametrize("wanted", ["job.trained", "job.judged"])
def test_a_job_that_was_taken_over_publishes_nothing(jobs, monkeypatch, wanted):
    with monkeypatch.context() as patched:
        patched.setattr(faults, "reach", lambda point: point == wanted and take_over(jobs))
        report = jobs.start(run_key="day-1")
    assert (report.outcome, report.run_key, report.version) == (outcome.Outcome.PREEMPTED, "day-1", None)
    assert "another one took over" in report.reasons[0]
    assert numbers(jobs.store) == []
    assert jobs.start(run_key="day-1").outcome is outcome.Outcome.PUBLISHED


def test_a_training_that_was_taken_over_stops(jobs, monkeypatch):
    monkeypatch.setattr(lock, "BEAT_SECS", 0.05)
    report = jobs.start(
        "training.max_steps=1000000", run_key="day-1", is_preempted=lambda: bool(take_over(jobs))
    )
    assert report.outcome is outcome.Outcome.PREEMPTED and numbers(jobs.store) == []
    ((_, found),) = jobs.runs
    assert found.outcome == "preempted" and found.step < 1000000


def test_a_job_that_is_stopped_while_it_waits_says_so(jobs):
    with lock.held(jobs.store.path):
        report = jobs.start(run_key="day-1", wait_secs=1e6, is_preempted=lambda: True)
    assert (report.outcome, jobs.runs) == (outcome.Outcome.PREEMPTED, [])


def test_a_job_removes_what_a_killed_one_left(jobs, monkeypatch, tmp_path):
    with monkeypatch.context() as patched:
        crash_at(patched, "job.trained")
        with pytest.raises(Crash):
            jobs.start(run_key="day-1")
    module, job = pathlib.Path(jobs.store.path), tmp_path / "run" / "day-1"
    candidates = job / "candidates" / module.name
    left = [
        *(module / f".{kind}-{ENDED}" for kind in ("claim", "staging")),
        module / ".leases" / f"1-{ENDED}",
        *(candidates / f".{kind}-{ENDED}" for kind in ("claim", "staging")),
        *(directory / f".staging-{ENDED}" for directory in (job, job.parent)),
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert jobs.start(run_key="day-1").outcome is outcome.Outcome.PUBLISHED
    assert [path for path in left if path.exists()] == []


class Crash(BaseException):
    """In the place of SIGKILL."""


def crash_at(monkeypatch, wanted):
    def reach(point):
        if point == wanted:
            raise Crash

    monkeypatch.setattr(faults, "reach", reach)


@pytest.mark.parametrize("point", [point for point in faults.POINTS if point.startswith("job.")])
def test_a_crash_neither_loses_a_version_nor_publishes_it_twice(jobs, monkeypatch, point):
    with monkeypatch.context() as patched:
        crash_at(patched, point)
        with pytest.raises(Crash):
            jobs.start(run_key="day-1")
    report = jobs.start(run_key="day-1")
    assert (report.outcome, report.version, report.current) == (outcome.Outcome.PUBLISHED, 1, 1)
    assert numbers(jobs.store) == [1]
    assert report.repeated == (point == "job.finished")
    assert report.metrics["loss"] > 0
    assert len(jobs.runs) == (2 if point in ("job.trained", "job.judged") else 1)


def test_who_rolls_back_after_a_crash_is_not_overruled(jobs, monkeypatch):
    jobs.start(run_key="day-1")
    with monkeypatch.context() as patched:
        crash_at(patched, "job.promoted")
        with pytest.raises(Crash):
            jobs.start(*NEW_DATA, run_key="day-2")
    assert jobs.store.current_number() == 2
    jobs.store.rollback(1, why="a complaint")
    report = jobs.start(*NEW_DATA, run_key="day-2")
    assert (report.outcome, report.version, report.current) == (outcome.Outcome.PUBLISHED, 2, 1)


def test_a_dry_run_does_not_finish_what_a_crash_left(jobs, monkeypatch):
    with monkeypatch.context() as patched:
        crash_at(patched, "job.published")
        with pytest.raises(Crash):
            jobs.start(run_key="day-1")
    assert jobs.start(run_key="day-1", dry_run=True).current is None
    assert jobs.start(run_key="day-1").current == 1


@pytest.mark.parametrize("code, said", [(-9, "it said nothing"), (1, "MemoryError")])
def test_a_gate_that_gave_out_rejects_nobody(jobs, monkeypatch, code, said):
    jobs.verdict = None
    ended = subprocess.CompletedProcess([], code, "", "" if code < 0 else "Traceback ...\nMemoryError\n")
    monkeypatch.setattr(isolated.subprocess, "run", lambda *args, **kwargs: ended)
    with pytest.raises(errors.ResourceError) as caught:
        jobs.start(run_key="day-1")
    assert str(caught.value) == f"hubpipe.gates.integrity:probe: its process ended with {code}: {said}"
    jobs.verdict = answer()
    report = jobs.start(run_key="day-1")
    assert report.outcome is outcome.Outcome.PUBLISHED and not report.repeated


# The version before.


def test_a_job_starts_from_the_current_version(jobs):
    jobs.start(run_key="day-1")
    jobs.start(*NEW_DATA, run_key="day-2")
    jobs.start("seed=3", "retrain.warm_start=false", run_key="day-3")
    assert [base for base, _ in jobs.runs] == [None, jobs.store.version(1).path, None]


def damage(version):
    path = next(
        os.path.join(directory, name)
        for directory, _, names in os.walk(os.path.join(version.path, "variables"))
        for name in names
        if ".data-" in name
    )
    with open(path, "r+b") as file:
        file.write(b"\xff" * 8)


def test_a_broken_version_is_not_started_from(jobs):
    jobs.start(run_key="day-1")
    damage(jobs.store.version(1))
    assert jobs.start(*NEW_DATA, run_key="day-2").version == 2
    assert [base for base, _ in jobs.runs] == [None, None]
    assert "version 1: no warm start, training starts from nothing: variables/" in jobs.notes


@pytest.mark.parametrize("policy, expected", [("publish", "published"), ("reject", "rejected")])
def test_what_a_broken_current_version_means(jobs, monkeypatch, policy, expected):
    jobs.start(run_key="day-1")
    damage(jobs.store.version(1))
    jobs.verdict = None
    monkeypatch.setattr(isolated, "call_in_process", isolated.call_eagerly)  # fresh processes take their time
    overrides = (*NEW_DATA, "retrain.warm_start=false", f"gates.quality.current_not_evaluable={policy}")
    report = jobs.start(*overrides, run_key="day-2")
    assert report.outcome.value == expected, report.reasons
    said = "quality: the current version cannot be evaluated: version 1: variables/"
    assert len([reason for reason in report.reasons if reason.startswith(said)]) == 1
    assert numbers(jobs.store) == ([1, 2] if policy == "publish" else [1])
