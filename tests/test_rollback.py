"""Tests of hubpipe.rollback, hubpipe.pin and hubpipe.yank."""

import json
import os
import pathlib

import pytest

from hubpipe import cli, errors, pin, rollback, yank
from hubpipe.store import store
from tests import commands


@pytest.fixture
def versions(tmp_path):
    """Three versions, the newest current."""
    versions = store.Store(tmp_path / "modules", "text")
    for number in (1, 2, 3):
        with versions.new_version() as draft:
            pathlib.Path(draft.path, "tfhub_module.pb").write_bytes(b"\x08\x03")
        versions.promote(number)
    return versions


def run(command, versions, *arguments):
    root = os.path.dirname(versions.path)
    return commands.run(command, "--store_dir", root, "--name", versions.name, *arguments)


def test_rollback_tells_what_moved(versions, capsys):
    assert run(rollback, versions, "--why", "wrong labels") is cli.ExitCode.DONE
    assert capsys.readouterr().out == "current   2, was 3\n"
    assert versions.record().history[-1].why == "wrong labels"
    run(rollback, versions, "--to", 2)
    assert capsys.readouterr().out == "current   2, as before\n"
    run(rollback, versions, "--to", "3", "--pin")
    assert capsys.readouterr().out == "current   3, was 2, pinned: publications leave it current\n"
    assert versions.record().pinned == (3,)
    run(rollback, versions, "--json")
    assert json.loads(capsys.readouterr().out) == {"previous": 3, "current": 2, "pinned": False}


def test_rollback_tells_what_it_passed_over(versions, capsys):
    pathlib.Path(versions.version(2).path, "new").touch()
    run(rollback, versions)
    assert capsys.readouterr() == (
        "current   1, was 3\n",
        "version 2 is broken: new: unexpected; passed over\n",
    )


def test_rollback_refuses_what_is_broken(versions):
    pathlib.Path(versions.version(2).path, "new").touch()
    with pytest.raises(errors.StoreError, match="version 2 is broken: new: unexpected; choose another"):
        run(rollback, versions, "--to", "2")
    assert versions.current_number() == 3


def test_pin_and_its_undoing(versions, capsys):
    assert run(pin, versions, "--version", "3", "--why", "audited") is cli.ExitCode.DONE
    assert capsys.readouterr().out == "pinned    3\ncurrent   3, held by its pin\n"
    assert versions.record().history[-1].why == "audited"
    run(pin, versions, "--version", "1")
    assert capsys.readouterr().out == "pinned    1, 3\ncurrent   3, held by its pin\n"
    run(pin, versions, "--version", "3", "--undo")
    assert capsys.readouterr().out == "pinned    1\ncurrent   3\n"


def test_yank_and_its_undoing(versions, capsys):
    pathlib.Path(versions.version(2).path, "new").touch()
    assert run(yank, versions, "--version", "3", "--why", "leaks") is cli.ExitCode.DONE
    assert capsys.readouterr() == (
        "yanked    3\ncurrent   1\n",
        "version 2 is broken: new: unexpected; passed over\n",
    )
    run(yank, versions, "--version", "1")
    assert capsys.readouterr().out == "yanked    1, 3\ncurrent   none\n"
    run(yank, versions, "--version", "3", "--undo")
    assert capsys.readouterr().out == "yanked    1\ncurrent   none\n"


@pytest.mark.parametrize("command", [rollback, pin, yank])
def test_arguments_that_are_no_flags_are_refused(versions, command):
    numbered = [] if command is rollback else ["--version", "3"]
    with pytest.raises(errors.UsageError, match="unexpected arguments: 2"):
        run(command, versions, *numbered, "2")


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "told"),
    [("rollback", "current   2, was 3\n"), ("pin", "by its pin\n"), ("yank", "current   2\n")],
)
def test_they_import_no_tensorflow(versions, command, told):
    numbered = [] if command == "rollback" else ["--version", "3"]
    root = os.path.dirname(versions.path)
    done, imported = commands.start(command, "--store_dir", root, "--name", "text", *numbered)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(told)
    assert imported.isdisjoint({"tensorflow", "numpy"})


@pytest.mark.process
def test_a_flag_that_is_missing_is_told(versions):
    done, _ = commands.start("rollback", "--store_dir", os.path.dirname(versions.path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "Flag --name must have a value other than None" in done.stderr
    assert done.stderr.endswith("Try: python -m hubpipe.rollback --help\n")
