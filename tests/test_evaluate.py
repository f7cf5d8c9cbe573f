"""Tests of hubpipe.evaluate."""

import errno
import json
import os
import shutil

import pytest

from hubpipe import cli, errors, evaluate, train
from hubpipe.store import store as store_lib
from hubpipe.training import datasets
from tests import commands
from tests.training.conftest import tiny  # noqa: F401  a fixture


@pytest.fixture
def config_path(tiny, tmp_path):  # noqa: F811
    """A run that was trained; its versions are in the store."""
    tiny()
    path = tmp_path / "tiny.yaml"
    assert commands.run(train, "--config", path) is cli.ExitCode.DONE
    return path


def facts(capsys, *arguments):
    capsys.readouterr()
    assert commands.run(evaluate, "--json", "--config", *arguments) is cli.ExitCode.DONE
    return json.loads(capsys.readouterr().out)


def test_metrics_are_those_of_the_version(config_path, tmp_path, capsys):
    store = store_lib.Store(tmp_path / "store", "tiny")
    current = store.current()
    told = facts(capsys, config_path)
    assert (told["name"], told["rows"], told["differences"]) == ("tiny", 6, [])
    ((only,),) = [told["versions"]]
    assert only["version"] == current.number
    assert only["metrics"] == pytest.approx(current.manifest()["metrics"], rel=1e-5)


def test_where_nothing_may_be_written(config_path, tmp_path, capsys, monkeypatch):
    told = facts(capsys, config_path)
    shutil.rmtree(tmp_path / "run")
    prepare, asked = datasets.prepare, []

    def unless_it_writes(config, cache_dir=None):
        asked.append(cache_dir)
        if cache_dir is None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), config.model_dir)
        return prepare(config, cache_dir)

    monkeypatch.setattr(datasets, "prepare", unless_it_writes)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # what a run would ask of its directories
    assert facts(capsys, config_path) == told
    assert not (tmp_path / "run").exists()
    assert len(asked) == 2 and not os.path.exists(asked[1])


def test_other_rows(config_path, tmp_path, capsys):
    """A row that every version gets right, and the same row with the other label."""
    (tmp_path / "test.csv").write_text("text,label\nthe cat and the dog,animal\nthe cat and the dog,plant\n")
    told = facts(capsys, config_path, f"inputs.eval.files={tmp_path}/test.csv")
    assert told["rows"] == 2
    assert told["versions"][0]["metrics"]["accuracy"] == 0.5


def test_versions_are_compared_on_the_same_rows(config_path, tmp_path, capsys):
    versions = store_lib.Store(tmp_path / "store", "tiny").versions()
    assert len(versions) > 1
    last, first = versions[-1].number, versions[0].number
    told = facts(capsys, config_path, "--versions", f"{last},{first},{last}")
    assert [each["version"] for each in told["versions"]] == [last, first]
    new, old = (each["metrics"]["loss"] for each in told["versions"])
    (difference,) = told["differences"]
    assert (difference["version"], difference["compared_with"]) == (last, first)
    assert difference["gain"] == pytest.approx(old - new)  # of losses the lower is better
    assert difference["low"] <= difference["gain"] <= difference["high"]

    assert commands.run(evaluate, "--config", config_path, "--versions", f"{last},{first}") is cli.ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny, 6 rows"
    assert lines[2].split() == ["version", "loss", "accuracy", "top_k_accuracy", "macro_f1"]
    assert [line.split()[0] for line in lines[3:5]] == [str(last), str(first)]
    assert lines[3].split()[1] == f"{new:.4f}"
    assert lines[6] == f"loss of {last}, compared with {first}:"
    assert lines[7].startswith(f"    better by {old - new:+.4f}, ")


@pytest.mark.parametrize(
    ("versions", "error", "told"),
    [
        ("1,x", errors.UsageError, "--versions=1,x: 'x' is no version's number"),
        ("7", errors.UnknownVersionError, "{store}: there is no version 7; published versions: none."),
        ("", errors.UnknownVersionError, "{store}: no version is current; name some: --versions N,N"),
    ],
)
def test_no_such_version(tiny, tmp_path, versions, error, told):  # noqa: F811
    tiny()
    with pytest.raises(error) as caught:
        commands.run(evaluate, "--config", tmp_path / "tiny.yaml", f"--versions={versions}")
    assert str(caught.value) == told.format(store=tmp_path / "store" / "tiny")


@pytest.mark.process
def test_a_mistake_is_told_without_tensorflow(tiny, tmp_path):  # noqa: F811
    tiny()
    process, imported = commands.start("evaluate", "--config", tmp_path / "tiny.yaml")
    assert process.returncode == cli.ExitCode.USAGE
    assert process.stderr.startswith(str(tmp_path / "store"))
    assert "tensorflow" not in imported
