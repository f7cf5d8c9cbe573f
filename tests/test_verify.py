"""Tests of hubpipe.verify."""

import json
import pathlib
import shutil

import pytest

from hubpipe import cli, errors, train, verify
from hubpipe.saved_model import isolated
from tests import commands
from tests.gates import modules

TINY = """
name: tiny
inputs:
  kind: text
  train: {{files: {directory}/rows.csv}}
  eval: {{files: {directory}/rows.csv}}
  batch_size: 2
model_fn:
  kind: text
  encoder: {{embedding_dim: 4, hidden_units: [4], min_count: 1}}
  regularizers: {{embedding: {{l2: 0.01}}, kernel: {{l1: 0.1, l2: 0.2}}}}
training: {{max_steps: 2, evaluate_every_steps: 2}}
model_dir: {directory}/run
store: {{dir: {directory}/store}}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A version of the text model, not to be changed."""
    directory = tmp_path_factory.mktemp("trained")
    (directory / "rows.csv").write_text("text,label\none word,a\ntwo words,b\nthree,a\nfour,b\n")
    (directory / "tiny.yaml").write_text(TINY.format(directory=directory))
    assert commands.run(train, "--config", directory / "tiny.yaml") is cli.ExitCode.DONE
    return directory / "store" / "tiny" / "1"


@pytest.fixture
def version(trained, tmp_path):
    """A copy of it."""
    return pathlib.Path(shutil.copytree(trained, tmp_path / "version"))


@pytest.fixture
def run(monkeypatch, capsys):
    """A function (*arguments) -> (exit code, lines of stdout) of the command, its probes in this process."""
    monkeypatch.setattr(isolated, "call_in_process", isolated.call_eagerly)

    def call(*arguments):
        code = commands.run(verify, *arguments)
        return code, capsys.readouterr().out.splitlines()

    return call


def _with_problems(lines):
    """The gates that the report marks with a problem."""
    gates, current = [], ""
    for line in lines:
        current = line[:12].strip() or current
        if line[12:20].strip() == "problem" and current not in gates:
            gates.append(current)
    return gates


def test_a_version_of_the_text_model_passes(run, trained):
    code, lines = run(trained, "--oldest_reader", "1.15", "--against", trained)
    assert code is cli.ExitCode.DONE
    assert lines[-2:] == ["problems 0, advice 0", "passed"]
    assert max(map(len, lines)) <= 80
    told = [line[20:] for line in lines if line.startswith(("fine_tuning", "            ok      Keras"))]
    assert [line.split(": ")[0] for line in told] == ["hub.Module", "Keras"]
    gates = [line.split()[0] for line in lines if line[:1].strip()][:-2]
    assert gates == ["format", "integrity", "hermetic", "fine_tuning", "signatures", "advice"]


def test_json_is_one_line(run, version):
    (version / "left_over").write_text("")
    code, lines = run(version, "--json")
    assert code is cli.ExitCode.REJECTED
    (line,) = lines
    report = json.loads(line)
    assert (report["module"], report["passed"]) == (str(version), False)
    assert {gate["gate"]: gate["passed"] for gate in report["gates"]} == {
        "format": True,
        "integrity": False,
        "hermetic": True,
        "fine_tuning": True,
        "signatures": True,
        "advice": True,
    }
    assert report["gates"][1]["problems"] == ["left_over: unexpected"]
    assert len(report["gates"][5]["numbers"]["findings"]) == 11


def _cut_variables(version):
    path = next((version / "variables").glob("variables.data-*"))
    path.write_bytes(path.read_bytes()[:-8])


def _drop_losses(version):
    def drop(meta_graph):
        meta_graph.collection_def.pop("regularization_losses", None)

    modules.rewrite(version, drop)


def _drop_updates(version):
    modules.rewrite(version, lambda meta_graph: meta_graph.collection_def.pop("update_ops", None))


def _leave_home(version):
    def leave(meta_graph):
        meta_graph.graph_def.node[0].attr["_made_by"].s = b"/home/joe/train.py"

    modules.rewrite(version, leave)


@pytest.mark.parametrize(
    "damage, gates, told",
    [
        (_cut_variables, ["integrity", "fine_tuning"], "bytes instead of"),
        (_drop_losses, ["integrity", "fine_tuning"], "no regularization loss depends on"),
        (_drop_updates, ["integrity", "fine_tuning"], "no update op moves"),
        (_leave_home, ["integrity", "hermetic"], "/home/joe/train.py"),
        (lambda version: (version / "tfhub_module.pb").unlink(), None, "it has no tfhub_module.pb"),
        (lambda version: (version / "assets" / "vocabulary.txt").unlink(), None, "the asset is missing"),
        (lambda version: (version / "saved_model.pb").write_bytes(b"\xff"), None, "not a serialized"),
        (lambda version: shutil.rmtree(version / "tf2"), ["integrity"], "tf2/saved_model.pb: missing"),
    ],
)
def test_damage_is_refused(run, version, damage, gates, told):
    damage(version)
    code, lines = run(version)
    assert code is cli.ExitCode.REJECTED
    expected = gates or ["format", "integrity", "hermetic", "fine_tuning", "signatures", "advice"]
    assert _with_problems(lines) == expected
    assert lines[-1] == f"refused by {', '.join(expected)}"
    assert told in " ".join(line[20:] for line in lines)
    assert max(map(len, lines)) <= 80


def test_the_same_problem_is_told_once(run, tmp_path):
    code, lines = run(tmp_path)
    assert code is cli.ExitCode.REJECTED
    assert sum(line[12:] == "problem as above" for line in lines) == 5
    assert lines[-2] == "problems 1, advice 0"


def test_signatures_that_are_gone(run, version, trained):
    def rename(meta_graph):
        signatures = meta_graph.signature_def
        signatures["more"].CopyFrom(signatures["hyperparameters"])
        del signatures["hyperparameters"]

    modules.rewrite(version, rename)
    code, lines = run(version, "--against", trained)
    assert code is cli.ExitCode.REJECTED
    assert "signatures" in _with_problems(lines)
    assert any("tags=[]: signature 'hyperparameters' is gone" in line for line in lines)


@pytest.mark.parametrize("modules_given", [(), ("a", "b")])
def test_one_module(run, modules_given):
    with pytest.raises(errors.UsageError, match=f"verify takes one module, got {len(modules_given)}: python -m"):
        run(*modules_given)


def test_an_unknown_reader(run, trained):
    with pytest.raises(errors.UsageError, match=r"--oldest_reader=1\.2: known are 1\.15, "):
        run(trained, "--oldest_reader", "1.2")


def test_nothing_there(run, tmp_path):
    with pytest.raises(errors.HandleError, match="absent"):
        run(tmp_path / "absent")


@pytest.mark.process
def test_as_a_user_runs_it(version):
    _cut_variables(version)
    done, _ = commands.start("verify", version)
    assert done.returncode == 3
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "refused by integrity, fine_tuning"
    done, _ = commands.start("verify", version / "absent")
    assert (done.returncode, done.stdout) == (2, "")
