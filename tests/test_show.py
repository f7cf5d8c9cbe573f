"""Tests of hubpipe.show."""

import json

import pytest

from hubpipe import cli, errors, show
from tests import commands


def test_show_prints_the_report(capsys, shared_module):
    assert commands.run(show, shared_module) is cli.ExitCode.DONE
    out = capsys.readouterr().out
    assert out.splitlines()[1].startswith("module      TF1 Hub module of ")
    assert "Signatures: 2\n" in out
    assert commands.run(show, shared_module, "--json") is cli.ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["assets"] == {"words.txt": 13}


@pytest.mark.parametrize("paths", [(), ("a", "b")])
def test_show_takes_one_path(paths):
    with pytest.raises(errors.UsageError, match=f"show takes one path, got {len(paths)}: python -m"):
        commands.run(show, *paths)


@pytest.mark.process
def test_show_imports_neither_tensorflow_nor_numpy(shared_module):
    done, imported = commands.start("show", shared_module)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Signatures: 2\n" in done.stdout
    assert "absl" in imported
    assert imported.isdisjoint({"tensorflow", "numpy", "pydantic", "yaml", "google"})


@pytest.mark.process
def test_a_damaged_module_is_one_line(tmp_path):
    (tmp_path / "tfhub_module.pb").write_bytes(b"\x08\x03")
    (tmp_path / "saved_model.pb").write_bytes(b"\x12\x7f")
    done, _ = commands.start("show", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{tmp_path}/saved_model.pb: a field claims 127 bytes, 0 are left\n"


@pytest.mark.process
def test_help_lists_the_flags():
    done, _ = commands.start("show", "--help")
    assert done.returncode == 0
    assert "--[no]json: Print the report as one line of JSON." in done.stdout
