"""Tests of hubpipe.retrain."""

import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import hubpipe
from hubpipe import cli, errors, retrain
from hubpipe.retraining import job, outcome
from hubpipe.store import store
from tests.training.conftest import tiny  # noqa: F401  a fixture


@pytest.fixture
def run(tiny, tmp_path, capsys):  # noqa: F811
    """A function (*arguments) -> (exit code or exception, the line on stdout, stderr) of main in this process."""
    tiny()

    def call(*arguments, config="tiny.yaml"):
        overrides = retrain.FLAGS(["retrain", "--config", str(tmp_path / config), *arguments])[1:]
        try:
            ended = retrain.main(overrides)
        except Exception as error:
            ended = error
        out, err = capsys.readouterr()
        assert out.count("\n") == 1
        return ended, json.loads(out), err

    yield call
    retrain.FLAGS.unparse_flags()
    for name in ("run_key", "metrics_file", "dry_run", "force"):
        retrain.FLAGS[name].unparse()


@pytest.fixture
def ends(monkeypatch):
    """A function (report or exception) that makes the job end so; returns the options of the jobs."""
    asked = []

    def end(how):
        def retrain_(config, options, progress, *, is_preempted):
            asked.append(options)
            if isinstance(how, Exception):
                raise how
            return how

        monkeypatch.setattr(job, "retrain", retrain_)
        return asked

    return end


@pytest.mark.parametrize("kind", outcome.Outcome)
def test_every_outcome_is_a_line_and_an_exit_code(run, ends, kind):
    asked = ends(outcome.Report(kind, "tiny", run_key="k", reasons=("why",), metrics={"loss": None}))
    code, told, _ = run("--run_key", "k", "--dry_run", "--force")
    assert code == outcome.EXIT_CODES[kind] == told["exit_code"]
    assert (told["outcome"], told["name"], told["reasons"]) == (kind.value, "tiny", ["why"])
    assert asked == [job.Options(run_key="k", dry_run=True, force=True)]


@pytest.mark.parametrize(
    "error, code, reason",
    [
        (errors.InputError("rows.csv:3: no label"), 2, "rows.csv:3: no label"),
        (errors.StoreError("modules: broken"), 1, "modules: broken"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/d"), 1, "[Errno 28] No space left on device: '/d'"),
        (errors.ResourceError("its process ended with -9"), 1, "its process ended with -9"),
        (ZeroDivisionError(), 1, "ZeroDivisionError"),
    ],
)
def test_whatever_goes_wrong_is_told_as_well(run, ends, error, code, reason):
    ends(error)
    raised, told, _ = run("--run_key", "k")
    assert raised is error
    assert (told["outcome"], told["exit_code"], told["reasons"]) == ("failed", code, [reason])
    assert (told["name"], told["run_key"], told["version"]) == ("tiny", "k", None)
    assert cli.exit_code(error) == code


def test_a_mistake_in_the_config_is_told_as_well(run):
    raised, told, _ = run("model_fn.dropuot=1", "seed=x")
    assert isinstance(raised, errors.ConfigError) and len(raised.problems) == 2
    assert (told["outcome"], told["exit_code"], told["name"]) == ("failed", 2, "tiny")
    assert told["reasons"] == raised.problems
    _, told, _ = run("name=a b")
    assert (told["exit_code"], told["name"]) == (2, "a b")
    _, told, _ = run(config="absent.yaml")
    assert (told["exit_code"], told["name"]) == (2, None)


def test_a_failure_tells_what_is_current(run, ends, tmp_path):
    versions = store.Store(tmp_path / "store", "tiny")
    with versions.new_version() as draft:
        pathlib.Path(draft.path, "tfhub_module.pb").write_bytes(b"\x08\x03")
    versions.promote(1)
    ends(errors.InputError("rows.csv:3: no label"))
    assert run()[1]["current"] == 1


def test_a_run_key_that_is_no_text(run):
    raised, told, _ = run("--run_key", "caf\udce9")
    assert str(raised) == r"--run_key='caf\udce9': is not UTF-8"
    assert told["exit_code"] == 2


def test_the_metrics_file_tells_the_same(run, ends, tmp_path):
    ends(outcome.Report(outcome.Outcome.REJECTED, "tiny", metrics={"accuracy": 0.5}, current=4))
    run("--metrics_file", str(tmp_path / "hubpipe.prom"))
    lines = (tmp_path / "hubpipe.prom").read_text().splitlines()
    assert 'hubpipe_retrain_exit_code{module="tiny"} 3.0' in lines
    assert 'hubpipe_retrain_outcome{module="tiny",outcome="rejected"} 1.0' in lines
    assert 'hubpipe_retrain_metric{module="tiny",metric="accuracy"} 0.5' in lines
    assert 'hubpipe_module_current_version{module="tiny"} 4.0' in lines


def test_a_metrics_file_that_cannot_be_written_changes_nothing(run, ends, tmp_path):
    ends(outcome.Report(outcome.Outcome.PUBLISHED, "tiny"))
    code, told, err = run("--metrics_file", str(tmp_path / "absent" / "hubpipe.prom"))
    assert code == told["exit_code"] == 0
    assert "warning: --metrics_file: " in err and f"{tmp_path}/absent" in err


@pytest.mark.process
def test_the_command_is_stopped_and_goes_on(tiny, tmp_path):  # noqa: F811
    tiny()

    def start(*overrides):
        arguments = ["--config", str(tmp_path / "tiny.yaml"), "--run_key", "k", *overrides]
        return subprocess.Popen(
            [sys.executable, "-m", "hubpipe.retrain", *arguments],
            env={**os.environ, "PYTHONPATH": str(pathlib.Path(hubpipe.__file__).parent.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    process = start("training.max_steps=1000000", "training.evaluate_every_steps=1000000")
    deadline = time.monotonic() + 300
    while not (tmp_path / "run" / "k" / "run" / "checkpoint").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert process.returncode == 75, err
    told = json.loads(out)
    assert (told["outcome"], told["exit_code"], told["version"]) == ("preempted", 75, None)
    assert "Traceback" not in err

    process = start(f"training.max_steps={told['step'] + 3}")
    out, err = process.communicate()
    assert process.returncode == 0, err
    published = json.loads(out)
    assert (published["outcome"], published["version"], published["current"]) == ("published", 1, 1)
    assert published["step"] > told["step"]
    gates = json.loads((tmp_path / "run" / "k" / "verdict.json").read_text())["gates"]
    asked = [gate["gate"] for gate in gates]
    assert asked == ["format", "integrity", "hermetic", "fine_tuning", "signatures", "advice", "quality"]
    assert f"going on at step {told['step']}\n" in err
