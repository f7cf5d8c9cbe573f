"""Tests of hubpipe.retraining.state."""

import json
import os
import shutil
import time

import pytest

from hubpipe.retraining import outcome, state


def done():
    return outcome.Report(
        outcome.Outcome.PUBLISHED, "m", run_key="k", reasons=("why",), version=2, metrics={"a": 0.5}
    )


def test_a_job_keeps_its_start_and_its_base(tmp_path):
    first = state.open_job(str(tmp_path), "2026-11-20", 4)
    again = state.open_job(str(tmp_path), "2026-11-20", 7)
    assert again == first
    assert first.base == 4
    assert first.path == str(tmp_path / "2026-11-20")
    assert abs(first.started - time.time()) < 3600


def test_a_report_comes_back_as_it_was(tmp_path):
    job = state.open_job(str(tmp_path), "k", None)
    assert job.report() is None
    job.finish(done(), "rules")
    assert state.open_job(str(tmp_path), "k", None).report() == done()


def test_a_report_of_a_later_release_can_be_read(tmp_path):
    job = state.open_job(str(tmp_path), "k", None)
    job.finish(done(), "rules")
    path = os.path.join(job.path, "result.json")
    with open(path) as file:
        facts = json.load(file)
    with open(path, "w") as file:
        json.dump({**facts, "later": 1}, file)
    assert job.report() == done()


@pytest.mark.parametrize("key", ["../up", "a/b", "", ".hidden", "x" * 300, "größe"])
def test_any_run_key_has_a_folder_of_its_own(tmp_path, key):
    job = state.open_job(str(tmp_path), key, None)
    assert os.path.dirname(job.path) == str(tmp_path)
    assert job.run_key == key
    assert state.open_job(str(tmp_path), key + "2", None).path != job.path


def test_what_was_refused_by_other_rules_is_not_done(tmp_path):
    job = state.open_job(str(tmp_path), "k", None)
    refused = outcome.Report(outcome.Outcome.REJECTED, "m", run_key="k")
    job.finish(refused, "rules")
    assert job.report() == job.report("rules") == refused
    assert job.report("others") is None
    job.finish(refused, None)  # as releases did that knew no rules
    path = os.path.join(job.path, "result.json")
    with open(path) as file:
        known = {key: value for key, value in json.load(file).items() if key != "rules"}
    with open(path, "w") as file:
        json.dump(known, file)
    assert job.report("others") == refused
    job.finish(done(), "rules")
    assert job.report("others") == done()


def test_old_jobs_that_cannot_be_read_are_left(tmp_path, monkeypatch, caplog):
    jobs_of(tmp_path, monkeypatch, unfinished=())
    (tmp_path / "job-0" / "job.json").write_text("\n")
    (tmp_path / "job-1" / "job.json").write_text('{"format": 1}')
    with caplog.at_level("WARNING"):
        state.remove_old(str(tmp_path), 2)
    assert sorted(os.listdir(tmp_path)) == ["job-0", "job-1", "job-4", "job-5"]
    assert f"{tmp_path}/job-0: left as it is among the old jobs: {tmp_path}/job-0/job.json: is not" in caplog.text


def jobs_of(tmp_path, monkeypatch, unfinished):
    """Starts six jobs, one after the other, and ends all but some."""
    for number in range(6):
        monkeypatch.setattr(time, "time", lambda number=number: 1000.0 + number)
        job = state.open_job(str(tmp_path), f"job-{number}", None)
        if number not in unfinished:
            job.finish(done(), "rules")


def test_old_jobs_go_done_or_not(tmp_path, monkeypatch):
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").touch()
    jobs_of(tmp_path, monkeypatch, unfinished=[1, 4])
    state.remove_old(str(tmp_path), 2)
    assert sorted(os.listdir(tmp_path)) == ["file", "job-3", "job-4", "job-5", "notes"]
    state.remove_old(str(tmp_path), 2)
    assert sorted(os.listdir(tmp_path)) == ["file", "job-3", "job-4", "job-5", "notes"]


def test_while_few_jobs_are_done_all_stay(tmp_path, monkeypatch):
    jobs_of(tmp_path, monkeypatch, unfinished=[0, 1, 4])
    state.remove_old(str(tmp_path), 3)
    assert len(os.listdir(tmp_path)) == 6


def test_what_a_kill_left_of_an_old_job_is_in_nobodys_way(tmp_path, monkeypatch):
    """A job has its name until it is gone: no half of it is taken for a job."""
    jobs_of(tmp_path, monkeypatch, unfinished=[])

    def killed(path, **options):
        os.remove(os.path.join(path, "job.json"))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            state.remove_old(str(tmp_path), 2)
    state.remove_old(str(tmp_path), 2)
    left = [name for name in sorted(os.listdir(tmp_path)) if not name.startswith(".")]
    assert left == ["job-4", "job-5"]


def test_the_prepared_data_are_no_job(tmp_path):
    assert state.open_job(str(tmp_path), state.CACHE_FOLDER, None).path != str(tmp_path / state.CACHE_FOLDER)
