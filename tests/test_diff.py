"""Tests of hubpipe.diff."""

import json

import pytest

from hubpipe import cli, diff, errors
from hubpipe.store import store
from tests import commands


def test_diff_prints_the_report(capsys, shared_module):
    assert commands.run(diff, shared_module, shared_module) is cli.ExitCode.DONE
    assert "variables   3, the same\n" in capsys.readouterr().out
    assert commands.run(diff, "--json", shared_module, shared_module) is cli.ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["num_variables"] == 3


@pytest.mark.parametrize("paths", [(), ("a",), ("a", "b", "c")])
def test_diff_takes_two_paths(paths):
    with pytest.raises(errors.UsageError, match=f"diff takes two modules, got {len(paths)}: python -m"):
        commands.run(diff, *paths)


def test_diff_takes_modules(tmp_path, shared_module):
    (tmp_path / "text" / "1").mkdir(parents=True)
    (tmp_path / "text" / "1" / "tfhub_module.pb").touch()
    assert store.module_names(tmp_path) == ["text"]
    message = f"{tmp_path}: holds versions, not a module; name one, such as {tmp_path}/a-module/7."
    with pytest.raises(errors.HandleError) as caught:
        commands.run(diff, shared_module, tmp_path)
    assert str(caught.value) == message
    with pytest.raises(errors.HandleError, match="text: holds versions, .* such as .*/text/7"):
        commands.run(diff, tmp_path / "text", shared_module)


@pytest.mark.process
def test_diff_imports_no_tensorflow(shared_module):
    done, imported = commands.start("diff", shared_module, shared_module)
    assert (done.returncode, done.stderr) == (0, "")
    assert "numpy" in imported and "tensorflow" not in imported
