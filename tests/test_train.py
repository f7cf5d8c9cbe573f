"""Tests of hubpipe.train."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import hubpipe
from hubpipe import cli, errors, train
from hubpipe.config import schema
from hubpipe.store import store

TINY = """
name: tiny
inputs:
  kind: text
  train: {{files: {directory}/rows.csv}}
  eval: {{files: {directory}/eval.csv}}
  batch_size: 2
model_fn:
  kind: text
  encoder: {{embedding_dim: 4, hidden_units: [4], min_count: 1}}
  batch_norm: {{momentum: 0.1}}
training: {{max_steps: 4, evaluate_every_steps: 2}}
model_dir: {directory}/run
store: {{dir: {directory}/store}}
"""


@pytest.fixture
def config_path(tmp_path):
    (tmp_path / "rows.csv").write_text("text,label\none word,a\ntwo words,b\nthree,a\nfour,b\n")
    (tmp_path / "eval.csv").write_text("text,label\none,a\ntwo,b\nthree words,a\nfour words,b\n")
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.format(directory=tmp_path))
    return str(path)


@pytest.fixture
def run(config_path, capsys):
    """A function (*arguments) -> (exit code, stdout, stderr) of main in this process."""

    def call(*arguments):
        overrides = train.FLAGS(["train", "--config", config_path, *arguments])[1:]
        return (train.main(overrides), *capsys.readouterr())

    yield call
    train.FLAGS.unparse_flags()
    train.FLAGS["json"].value = False


def test_a_run_that_publishes_nothing_has_failed(run, tmp_path):
    (tmp_path / "ones.csv").write_text("text,label\none word,b\n")
    one_label = f"inputs.eval.files={tmp_path}/ones.csv"
    code, out, _ = run(one_label, "model_fn.head.kind=binary", "selection.metric=auc")
    assert code is cli.ExitCode.FAILED
    assert "none of 2 evaluated checkpoints is in the store" in out
    assert "auc is not a finite number" in out
    assert not (tmp_path / "store" / "tiny").exists()


def test_the_summary_tells_how_to_load_the_best(run, tmp_path):
    code, out, err = run()
    assert code is cli.ExitCode.DONE
    lines = out.splitlines()
    assert lines[1] == "run      trained to step 4"
    assert lines[2].startswith("best     step ") and "accuracy" in lines[2] and "macro_f1" in lines[2]
    assert lines[3] == "         of 2 evaluated"
    assert lines[4].startswith(f"version  {tmp_path}/store/tiny/")
    assert lines[5] == f"twin     {lines[4].split()[1]}/tf2" and os.path.isdir(lines[5].split()[1])
    assert lines[-2] == f"    module = hub.Module({lines[4].split()[1]!r})  # in a tf.Graph"
    assert err.startswith("tiny: 4 training rows, 4 evaluation rows, 2 labels: a, b\nstep 2: accuracy ")

    code, out, _ = run()
    assert code is cli.ExitCode.DONE
    assert out.splitlines()[1] == f"run      was already trained to step 4; to train anew, remove {tmp_path}/run"

    current = store.Store(f"{tmp_path}/store", "tiny").current_number()
    out = run("export.twin=false", f"model_dir={tmp_path}/other")[1]
    assert "\ntwin     " not in out
    assert f"\n         current is version {current + 1} now, it was {current} of another run (accuracy " in out


@pytest.mark.parametrize(
    "section, keys, told",
    [
        (schema.TextInputs, {"kind": "text"}, 'module(["a sentence", "another one"])'),
        (
            schema.TextInputs,
            {"kind": "text", "text_pair": "other"},
            'module({"text": ["a sentence"], "text_b": ["another one"]})',
        ),
        (schema.ImageInputs, {"kind": "image"}, "module(images)  # float32 [batch, 32, 32, 3] in [0, 1]"),
    ],
)
def test_the_example_is_of_the_kind_of_inputs(section, keys, told):
    files = {"files": "a"}
    assert train._example(section.model_validate({**keys, "train": files, "eval": files})) == told


def test_json_is_one_line(run, tmp_path):
    code, out, _ = run("--json", "training.max_steps=2")
    assert code is cli.ExitCode.DONE and out.count("\n") == 1
    facts = json.loads(out)
    assert sorted(facts["metrics"]) == ["accuracy", "loss", "macro_f1", "top_k_accuracy"]
    del facts["metrics"]
    assert facts == {
        "outcome": "trained",
        "step": 2,
        "evaluated": 1,
        "best_step": 2,
        "path": f"{tmp_path}/store/tiny/1",
    }


def test_warnings_come_first(run):
    _, _, err = run("model_fn.batch_norm.momentum=0.999", "training.max_steps=1")
    assert err.startswith("warning: model_fn.batch_norm.momentum: 0.999 is too high for fine-tuning")


def command(config_path, *arguments):
    """Starts the command as a user does."""
    package_root = str(pathlib.Path(hubpipe.__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-m", "hubpipe.train", "--config", config_path, *arguments],
        env={**os.environ, "PYTHONPATH": package_root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.process
def test_a_misspelled_key_answers_before_tensorflow_is_imported(config_path):
    process = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "hubpipe.train", "--config", config_path, "model_fn.dropuot=1"],
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(hubpipe.__file__).parent.parent)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2 and process.stdout == ""
    message = process.stderr.splitlines()[-1]
    assert message.startswith("command line: model_fn.dropuot=1: unknown key (did you mean 'dropout'?)")
    imported = [line.rsplit("|", 1)[-1].strip() for line in process.stderr.splitlines() if "|" in line]
    assert "hubpipe.config.load" in imported
    assert [name for name in imported if name.split(".")[0] in ("tensorflow", "numpy")] == []


@pytest.mark.process
def test_sigterm_saves_and_the_same_command_goes_on(config_path, tmp_path):
    arguments = ("training.max_steps=1000000", "training.evaluate_every_steps=1000000")
    process = command(config_path, *arguments)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoint").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 75, err
    step = int(out.split("saved at step ")[1].split(";")[0])
    assert out.splitlines()[1] == f"run      preempted, saved at step {step}; to go on, run the same command again"
    assert (tmp_path / "run" / f"model.ckpt-{step}.index").exists()
    assert "Traceback" not in err

    process = command(config_path, f"training.max_steps={step + 3}", "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["step"] == step + 3
    assert f"{tmp_path}/run: going on at step {step}\n" in err


def test_a_cluster_that_cannot_be(run, monkeypatch):
    cluster = {"chief": ["a:1"], "ps": ["b:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "ps", "index": 1}}))
    with pytest.raises(errors.UsageError) as caught:
        run()
    assert str(caught.value) == "TF_CONFIG: task.index: 1 is out of range; cluster.ps has 1, of index 0 to 0"


def test_a_strategy_without_a_cluster(run):
    with pytest.raises(errors.UsageError, match="multi_worker_mirrored needs a cluster, and TF_CONFIG names none"):
        run("training.distribution=multi_worker_mirrored")
