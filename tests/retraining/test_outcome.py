"""Tests of hubpipe.retraining.outcome."""

import json

from hubpipe import cli
from hubpipe.retraining import outcome


def test_every_outcome_has_an_exit_code():
    assert set(outcome.EXIT_CODES) == set(outcome.Outcome)
    assert outcome.EXIT_CODES[outcome.Outcome.REJECTED] == cli.ExitCode.REJECTED == 3
    assert outcome.EXIT_CODES[outcome.Outcome.PREEMPTED] == 75
    assert outcome.EXIT_CODES[outcome.Outcome.SKIPPED] == 0


def test_a_report_is_json():
    report = outcome.Report(outcome.Outcome.REJECTED, "m", reasons=("a", "b"), metrics={"loss": None})
    text = json.dumps(report.to_json())
    assert json.loads(text)["outcome"] == "rejected"
    assert outcome.Report.from_json(json.loads(text)) == report


def test_numbers_for_prometheus(tmp_path):
    metrics = {"accuracy": 0.875, "loss": None}
    report = outcome.Report(
        outcome.Outcome.PUBLISHED, 'a"b', metrics=metrics, current=7, started=12.5, seconds=3.0
    )
    path = tmp_path / "hubpipe.prom"
    outcome.write_metrics(str(path), report, 0)
    lines = path.read_text().splitlines()
    assert 'hubpipe_retrain_outcome{module="a\\"b",outcome="published"} 1.0' in lines
    assert 'hubpipe_retrain_outcome{module="a\\"b",outcome="failed"} 0.0' in lines
    assert 'hubpipe_retrain_metric{module="a\\"b",metric="accuracy"} 0.875' in lines
    assert 'hubpipe_module_current_version{module="a\\"b"} 7.0' in lines
    assert 'hubpipe_retrain_timestamp_seconds{module="a\\"b"} 12.5' in lines
    assert not any("loss" in line for line in lines)
    helped = [line.split()[2] for line in lines if line.startswith("# HELP")]
    assert len(helped) == len(set(helped))
