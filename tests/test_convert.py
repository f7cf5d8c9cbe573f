"""Tests of hubpipe.convert, the command."""

import json
import sys

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import cli, convert, errors, hub
from tests import commands, forks
from tests.saved_model import modules

COMMAND = (sys.executable, "-m", "hubpipe.convert", "--module_dir")


@pytest.fixture
def module_dir(tmp_path):
    return modules.export(modules.encoder, tmp_path / "module", modules.VARIANTS)


@pytest.fixture
def lossy_dir(tmp_path):
    """A module with a signature that a twin has only for serving."""

    def module_fn():
        x = tf1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=x)
        hub.add_signature("save", inputs=x, outputs=x)

    return modules.export(module_fn, tmp_path / "lossy")


def run(module_dir, out, *arguments):
    return commands.run(convert, "--module_dir", module_dir, "--out", out, *arguments)


def test_the_table_and_how_to_load(module_dir, tmp_path, capsys):
    assert run(module_dir, tmp_path / "twin") is cli.ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split("  ") for line in lines[: lines.index("")]]
    assert [row[0] for row in rows][:3] == ["signatures", "hyperparameters", "outputs of 'default'"]
    assert rows[2][-1] == "equal"
    assert f"    model = tf.saved_model.load('{tmp_path}/twin')" == lines[-1]
    assert tf.saved_model.load(str(tmp_path / "twin"))(modules.X).shape == [3, 2]


def test_json_is_one_line(module_dir, tmp_path, capsys):
    assert run(module_dir, tmp_path / "twin", "--json") is cli.ExitCode.DONE
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    facts = json.loads(out)
    assert {key: facts[key] for key in ("module_dir", "path", "lost", "tolerance")} == {
        "module_dir": module_dir,
        "path": str(tmp_path / "twin"),
        "lost": [],
        "tolerance": 1e-6,
    }
    assert sorted(facts["checks"][0]) == ["difference", "name", "note", "problem"]


def test_lossy(lossy_dir, tmp_path, capsys):
    with pytest.raises(errors.LossyError, match="To accept that, use --lossy."):
        run(lossy_dir, tmp_path / "twin")
    assert run(lossy_dir, tmp_path / "twin", "--lossy") is cli.ExitCode.DONE
    out = capsys.readouterr().out
    assert "\nlost: signature 'save': a twin has an attribute of that name; only serving has it\n" in out


def test_words_that_are_no_flags(module_dir, tmp_path):
    with pytest.raises(errors.UsageError, match="unexpected arguments: more"):
        run(module_dir, tmp_path / "twin", "more")


@pytest.mark.process
def test_as_a_user_runs_it(module_dir, lossy_dir, tmp_path):
    done, _ = commands.start("convert", "--module_dir", module_dir, "--out", tmp_path / "twin")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("signatures ")
    done = forks.run([*COMMAND, lossy_dir, "--out", tmp_path / "other"])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{tmp_path}/other: not written; it would lack\n")
    done = forks.run([*COMMAND, tmp_path / "nowhere", "--out", tmp_path / "other"])
    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere" in done.stderr and "Traceback" not in done.stderr
